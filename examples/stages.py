"""A shape of your own: a table of stages.

locust -f examples/stages.py --headless -H http://localhost:5000
"""

from locust import task  # first: it patches sockets for gevent
from swarmscope.client import FastHttpUser, Stage, Staged, paced


class Tester(FastHttpUser):
    """Reads the list once a second."""

    wait_time = paced(1)

    @task
    def list_tests(self) -> None:
        """Fetch the list."""
        self.client.get("/tests")


class Doors(Staged):
    """A shop's morning, much shortened: a few early visitors, a rush, and the calm after it."""

    stages = (
        Stage("early", users=2, ramp_s=1, hold_s=4),
        Stage("rush", users=20, ramp_s=2, hold_s=6),
        Stage("calm", users=5, ramp_s=1, hold_s=4),
    )
