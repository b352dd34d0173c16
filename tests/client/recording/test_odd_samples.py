"""Real Locust processes that report odd samples, or at a constant rate, and what the run says."""

from __future__ import annotations

import json
import re

import pytest
from support.command import swarmscope
from support.locust import Field

ODD = """
import json
import time
from pathlib import Path

import swarmscope.client
from locust import User, constant, events, task


def fire(environment, name, **more):
    fields = {"response_time": 5.0, "response_length": 0, "exception": None, "context": {}}
    fields.update(more, request_type="X", name=name, response=None)
    environment.events.request.fire(**fields)


class Odd(User):
    wait_time = constant(0.05)

    @task
    def report(self):
        fire(self.environment, "good")
        fire(self.environment, "no time", response_time=None, exception=TimeoutError())
        fire(self.environment, "negative", response_time=-3.0, exception=ValueError())
        fire(self.environment, "nan", response_time=float("nan"), exception=ValueError())
        fire(self.environment, "other clock", start_time=time.perf_counter())
        fire(self.environment, "milliseconds", start_time=time.time() * 1000)


@events.quitting.add_listener
def report_late(environment, **_):
    total = environment.stats.total
    counts = [total.num_requests, total.num_failures]
    Path("counted.json").write_text(json.dumps(counts))
    for _ in range(7):
        fire(environment, "late", exception=ValueError())
"""

CONSTANT = """
import swarmscope.client
from locust import User, constant_throughput, task


class Constant(User):
    wait_time = constant_throughput(10)

    @task
    def report(self):
        self.environment.events.request.fire(
            request_type="X", name="x", response_time=5.0, response_length=0, exception=None,
            context={}, response=None,
        )
"""


def test_odd_samples_count_as_locust_counts_them(field: Field):
    """Starts are corrected, what comes after the stop is counted apart, and `show` says so."""
    file = field.directory / "odd.py"
    file.write_text(ODD)
    locust = field.headless(file, "-u", 2, "-r", 2, "-t", "3s", "--exit-code-on-error", 0)
    assert locust.process.wait(90) == 0, locust.text()

    requests, failures = json.loads((field.directory / "counted.json").read_text())
    shown = json.loads(swarmscope("show", "--json", "--whole", "--database", field.database).stdout)
    assert requests > 50
    totals, completeness = shown["totals"], shown["completeness"]
    assert (
        (totals["requests"], totals["failures"]) == (requests, failures) == (requests, requests / 2)
    )
    assert field.value("SELECT count(*) FROM request") == requests
    assert (completeness["corrected"], completeness["after_stop"]) == (requests / 3, 7)
    assert field.value(
        "SELECT bool_and(time BETWEEN run_id - interval '1 s' AND end_time + interval '1 s')"
        " FROM histogram JOIN testrun ON id = run_id WHERE resolution = 1"
    )
    printed = swarmscope("show", "--database", field.database, columns=200).stdout
    assert f"{requests // 3} start times corrected" in printed
    assert "7 requests after the stop" in printed


@pytest.mark.parametrize("seconds", [5])
def test_a_constant_rate_is_shown_and_checked_as_it_is(field: Field, seconds):
    """Locust's own check, `check` and `show` agree on requests ÷ the time that the run lasted."""
    file = field.directory / "constant.py"
    file.write_text(CONSTANT)
    locust = field.headless(file, "-u", 10, "-r", 10, "-t", f"{seconds}s", "--check-rps", 1)
    assert locust.process.wait(90) == 0, locust.text()

    shown = json.loads(swarmscope("show", "--json", "--whole", "--database", field.database).stdout)
    rate = shown["totals"]["requests_per_s"]
    (counted,) = re.findall(r"requests/s +≥ 1 +([\d.]+)", locust.text())
    lasted_s = field.value(
        "SELECT extract(epoch FROM max(stopped) - run_id) FROM run_worker GROUP BY run_id"
    )
    assert rate == pytest.approx(field.value("SELECT count(*) FROM request") / float(lasted_s))
    assert float(counted) == pytest.approx(rate, rel=0.01)
