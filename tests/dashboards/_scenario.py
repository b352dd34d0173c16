"""Users of every kind that a dashboard shows: readers, writers, and those whose requests fail."""

from locust import constant, task  # first: it patches sockets for gevent

from swarmscope.client import FastHttpUser, OpenUser


class Visitor(FastHttpUser):
    """Reads, adds, and asks for what is not there."""

    wait_time = constant(0.1)

    @task(8)
    def list_tests(self) -> None:
        """Fetch the list."""
        self.client.get("/tests")

    @task(1)
    def add_test(self) -> None:
        """Add a testing type."""
        self.client.post("/tests", json={"name": "a", "description": "b"})

    @task(1)
    def lose_the_way(self) -> None:
        """Fetch a page that is not there."""
        self.client.get("/missing")


class Passer(OpenUser):
    """Reads at a rate of its own, however slow the service is."""

    rate = 5

    @task
    def list_tests(self) -> None:
        """Fetch the list."""
        self.client.get("/tests")
