"""Customers who look at their orders ten times, and at nothing else."""

from locust import constant, task  # first: it patches sockets for gevent

from swarmscope.client import FastHttpUser

TIMES = 10


class Customer(FastHttpUser):
    """Somebody who is logged in."""

    wait_time = constant(0.1)

    def on_start(self) -> None:
        """Log in."""
        self.left = TIMES
        self.client.post("/login", data={"email": "customer3@example.com", "password": "secret"})

    @task
    def list_orders(self) -> None:
        """Fetch the list, unless that was done often enough."""
        if self.left:
            self.left -= 1
            self.client.get("/orders")
