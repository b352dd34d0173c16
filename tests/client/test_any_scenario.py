"""Scenarios that do what scenarios may do: each request of theirs is heard all the same."""

from __future__ import annotations

from support.locust import Field

RAISING = """
import swarmscope.client
from locust import User, constant, events, task
from locust.exception import RescheduleTask

@events.request.add_listener
def reschedule(exception, **_):
    if exception:
        raise RescheduleTask(exception)

class Visitor(User):
    wait_time = constant(0.1)
    number = 0

    @task
    def visit(self):
        self.number += 1
        self.environment.events.request.fire(
            request_type="X", name="x", response_time=5.0, response_length=0, context={},
            response=None, exception=ValueError("every second") if self.number % 2 else None)
"""


def test_failures_are_recorded_before_a_listener_that_raises(field: Field):
    """A listener of the locustfile, added before any of ours, ends the event at each failure."""
    file = field.directory / "scenario.py"
    file.write_text(RAISING)
    locust = field.headless(file, "-u", 2, "-r", 10, "-t", 3)
    locust.process.wait(40)

    (requests, failures) = field.query(
        "SELECT count(*), count(*) FILTER (WHERE success = 0) FROM request"
    )[0]
    assert requests > 20
    assert abs(failures - requests / 2) <= 2
