"""Customers of `benchmarks._pairs_service`."""

from locust import constant, task  # first: it patches sockets for gevent

from swarmscope.client import FastHttpUser


class Customer(FastHttpUser):
    """Lists orders, adds one now and then, reads a report."""

    wait_time = constant(0.05)

    @task(6)
    def list_orders(self) -> None:
        """Fetch the orders."""
        self.client.get("/orders")

    @task(3)
    def read_report(self) -> None:
        """Fetch the report."""
        self.client.get("/report")

    @task(1)
    def add_order(self) -> None:
        """Add an order."""
        self.client.post("/orders")
