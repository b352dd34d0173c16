"""Users who ask for work of 5, 50 and 500 ms."""

from locust import constant, task  # first: it patches sockets for gevent

from swarmscope.client import FastHttpUser


class Customer(FastHttpUser):
    """Asks for each kind of work."""

    wait_time = constant(0.05)

    @task(10)
    def little(self) -> None:
        """Ask for 5 ms."""
        self.client.get("/5")

    @task(5)
    def some(self) -> None:
        """Ask for 50 ms."""
        self.client.get("/50")

    @task(2)
    def much(self) -> None:
        """Ask for 500 ms."""
        self.client.get("/500")
