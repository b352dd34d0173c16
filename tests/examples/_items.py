"""Customers who look at the items, again and again."""

from locust import constant, task  # first: it patches sockets for gevent

from swarmscope.client import FastHttpUser


class Visitor(FastHttpUser):
    """Somebody who looks around."""

    wait_time = constant(0.05)

    @task
    def list_items(self) -> None:
        """Fetch a page."""
        self.client.get("/items")
