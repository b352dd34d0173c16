"""A customer who looks at their orders ten times, and looks at nothing else."""

from locust import constant, task  # first: it patches sockets for gevent
from locust.exception import StopUser

from swarmscope.client import FastHttpUser

TIMES = 10


class Customer(FastHttpUser):
    """Somebody who is logged in."""

    wait_time = constant(0.1)

    def on_start(self) -> None:
        """Log in."""
        self.left = TIMES
        form = {"email": "customer3@example.com", "password": "secret"}
        self.client.post("/login", data=form)

    @task
    def list_orders(self) -> None:
        """Fetch the list, and go away at last."""
        if not self.left:
            raise StopUser
        self.left -= 1
        self.client.get("/orders")
