"""The capacity finder against queueing theory, five searches in a row."""

from __future__ import annotations

import time

import pytest
from support.known_service import known_service
from support.locust import locust_field

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]

CLOSED = """
from locust import task
from swarmscope.client import FastHttpUser
from swarmscope.client import paced
from swarmscope.client import Capacity

class Visitor(FastHttpUser):
    wait_time = paced(1)

    @task
    def visit(self):
        self.client.get("/")
"""
OPEN = """
from locust import task
from swarmscope.client import OpenUser
from swarmscope.client import Capacity

class Source(OpenUser):
    rate = 1

    @task
    def visit(self):
        self.client.get("/")
"""


@pytest.mark.parametrize(
    ("users", "workers", "work_ms", "truth"),
    [
        # Erlang's M/D/1: 5 % of responses exceed 450 ms at 46.6 requests/s (test_capacity.py)
        pytest.param(OPEN, 1, 20, 46.6, id="open, one server of 20 ms"),
        # users that come once a second, and four servers that each serve 20 of them in a second
        pytest.param(CLOSED, 4, 50, 80, id="closed, four servers of 50 ms"),
    ],
)
def test_five_searches_in_a_row_find_what_theory_says(
    tmp_path, runs_database, users, workers, work_ms, truth, record_property
):
    """Users and requests/s within 10 % of theory, each time; the queue is named as what broke."""
    found = []
    with (
        known_service(tmp_path, work_ms, workers) as service,
        locust_field(tmp_path, service.url, runs_database) as field,
    ):
        file = tmp_path / "scenario.py"
        file.write_text(users)
        for _ in range(5):
            began = time.monotonic()
            locust = field.headless(file, "--shape", "Capacity", "--capacity-start", 30)
            assert locust.process.wait(900) == 0, locust.text()
            (details,) = field.query(
                "SELECT details FROM events WHERE kind = 'verdict' ORDER BY time DESC LIMIT 1"
            )[0]
            found.append((details, time.monotonic() - began))

    figures = [(v["users"], round(v["requests_per_s"], 1), round(s)) for v, s in found]
    record_property("users, requests/s, seconds", figures)
    print(f"theory {truth}; users, requests/s, seconds: {figures}")
    for verdict, _ in found:
        assert verdict["limit"] == "service"
        assert verdict["users"] == pytest.approx(truth, rel=0.1)
        assert verdict["requests_per_s"] == pytest.approx(truth, rel=0.1)
        assert verdict["broken_part"] == "queue"
