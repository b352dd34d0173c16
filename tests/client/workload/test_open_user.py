"""Open users keep to their schedule, and count latency from when a request was due."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from locust.env import Environment
from locust.exception import StopTest
from support.known_service import known_service
from support.locust import locust_field

from swarmscope.client.health.probe import WINDOWS_PER_SECOND
from swarmscope.client.health.trust import dispersion
from swarmscope.client.workload.open_user import OpenUser, Schedule

SCENARIO = """
from locust import task
from swarmscope.client import OpenUser

class Visitor(OpenUser):
    {settings}

    @task
    def visit(self):
        self.client.get("/")
"""


def due(arrivals: str, rate: float, seconds: float) -> list[float]:
    schedule, moments = Schedule(arrivals, rate, now=0.0), []
    while schedule.due < seconds:
        moments.append(schedule.advance())
    return moments


def test_constant_arrivals_are_due_at_equal_distances():
    """Ten a second: 100 ms apart, from a moment within the first gap."""
    moments = due("constant", 10, 5)

    assert len(moments) == 50
    assert 0 <= moments[0] < 0.1
    assert moments[-1] - moments[0] == pytest.approx(4.9)


def test_poisson_arrivals_are_due_at_random():
    """The rate holds, and the counts per window vary as Poisson's do."""
    random.seed(3)
    moments = due("poisson", 50, 200)
    windows = Counter(int(moment * WINDOWS_PER_SECOND) for moment in moments)

    assert len(moments) == pytest.approx(10_000, rel=0.04)
    assert dispersion(windows, 0, 1999) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": float("inf")}, {"arrivals": "normal"}], ids=str
)
def test_a_schedule_must_make_sense(wrong):
    """It stops the test with a line that names the attribute."""
    visitor = type("Visitor", (OpenUser,), {"host": "http://127.0.0.1:1", **wrong})

    with pytest.raises(StopTest, match=next(iter(wrong))):
        visitor(Environment(user_classes=[visitor]))


def run(tmp_path, database, settings: str, *options: object, **service: object):
    """Run a headless swarm of open users; return its place and its log."""
    with (
        known_service(tmp_path, **service) as gunicorn,
        locust_field(tmp_path, gunicorn.url, database) as field,
    ):
        file = tmp_path / "scenario.py"
        file.write_text(SCENARIO.format(settings=settings.replace("; ", "\n    ")))
        locust = field.headless(file, "--spawn-rate", 100, "--stop-timeout", 5, *options)
        locust.process.wait(90)
        return field, locust.text()


def test_latency_counts_from_when_a_request_was_due(tmp_path, runs_database):
    """A service that freezes for 1 s in 5, few connections: only the due time shows the waiting.

    Of about 800 requests two are in the service when it freezes, twice: 0.5 %, so that p99 from
    the actual start stays low. One in five was due during a freeze.
    """
    field, log = run(
        tmp_path,
        runs_database,
        "rate = 80; concurrency = 2",
        *("--users", 1, "--run-time", 11),
        **{"work_ms": 2, "workers": 2, "FREEZE_EVERY": "5", "FREEZE_FOR": "1"},
    )

    percentile = "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY {}) FROM request"
    from_due = field.value(percentile.format("response_time"))
    from_start = field.value(percentile.format("response_time - start_delay_ms"))
    assert from_due > 600
    assert from_start < from_due / 3
    stored = dict(
        field.query("SELECT s.part, s.p99_ms FROM run, summary(run_id, true) s WHERE s.name = ''")
    )
    assert stored["response"] == pytest.approx(from_due, rel=0.05)
    assert stored["uncorrected"] == pytest.approx(from_start, rel=0.1)
    assert "arrivals started late" in log


def test_arrivals_do_not_wait_for_answers(tmp_path, runs_database):
    """A service that takes 200 ms is still asked 20 times a second by one user."""
    field, _ = run(
        tmp_path,
        runs_database,
        "rate = 20; arrivals = 'constant'",
        *("--users", 1, "--run-time", 5),
        **{"work_ms": 200, "workers": 6},
    )

    span = "extract(epoch FROM max(time) - min(time))"
    rate = field.value(f"SELECT ((count(*) - 1) / {span})::float FROM request")
    assert rate == pytest.approx(20, rel=0.05)
    late = field.value(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY start_delay_ms) FROM request"
    )
    assert late < 20


def test_arrivals_that_find_no_connection_in_time_are_dropped_and_counted(tmp_path, runs_database):
    """One connection, 200 ms each, 20 a second: 5 can be served, none later than its patience."""
    field, log = run(
        tmp_path,
        runs_database,
        "rate = 20; concurrency = 1; patience_s = 1.0",
        *("--users", 1, "--run-time", 8),
        **{"work_ms": 200, "workers": 1},
    )

    served = field.value("SELECT count(*) FROM request")
    assert field.value("SELECT max(start_delay_ms) FROM request") < 1200
    (dropped,) = [int(word) for word in log.split("arrivals were dropped")[0].split()[-1:]]
    assert dropped / (served + dropped) == pytest.approx(0.75, abs=0.1)
