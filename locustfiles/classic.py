"""The classic scenario: people who list the software testing types and sometimes add one."""

from locust import task  # first: it patches sockets for gevent
from swarmscope.client import FastHttpUser, paced


class Tester(FastHttpUser):
    """Reads the list ten times as often as it writes to it."""

    wait_time = paced(1)

    @task(10)
    def list_tests(self) -> None:
        """Fetch the list."""
        self.client.get("/tests")

    @task(1)
    def add_test(self) -> None:
        """Add a testing type, or replace its description when it is there already."""
        self.client.post(
            "/tests",
            json={"name": "load testing", "description": "testing a system under load"},
        )
