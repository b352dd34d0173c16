"""Capacity runs of real swarms against services whose capacity theory knows."""

from __future__ import annotations

import json

import pytest
from support.command import answer
from support.known_service import known_service
from support.locust import Field, locust_field
from support.waiting import poll_until

CLOSED = """
from locust import task
from swarmscope.client import FastHttpUser
from swarmscope.client import paced
from swarmscope.client import Capacity

class Visitor(FastHttpUser):
    wait_time = paced({period_s})

    @task
    def visit(self):
        self.client.get("/")
"""
THROTTLED = """
import time
import gevent
from locust import events

def burn():
    while True:
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            pass
        gevent.sleep(0.01)

events.test_start.add_listener(lambda **_: gevent.spawn(burn))
"""
BLOCKED = """
import gevent
from gevent.monkey import get_original
from locust import events

def block():
    while True:
        get_original("time", "sleep")(0.2)
        gevent.sleep(0.01)

events.test_start.add_listener(lambda **_: gevent.spawn(block))
"""
QUICK = ("--capacity-warm-up", "2", "--capacity-window", "8")


def search(field: Field, text: str, *options: object, seconds: float = 200) -> dict[str, object]:
    """Let a headless swarm of *text*'s users search; return the verdict's figures."""
    file = field.directory / "scenario.py"
    file.write_text(text)
    locust = field.headless(file, "--shape", "Capacity", *options)
    locust.process.wait(seconds)
    ((sentence, details),) = field.query("SELECT text, details FROM events WHERE kind = 'verdict'")
    assert sentence in locust.text()
    return {**details, "status": locust.process.returncode, "sentence": sentence}


def test_a_closed_system_is_measured_below_its_capacity(tmp_path, runs_database):
    """One worker, 20 ms: 20 users that come twice a second are 40 requests/s, in the objective."""
    with (
        known_service(tmp_path, work_ms=20) as service,
        locust_field(tmp_path, service.url, runs_database) as field,
    ):
        bound = ("--capacity-start", 20, "--capacity-max", 20, "--check-capacity-users", 20)
        quick = ("--capacity-warm-up", 1, "--capacity-window", 3)
        found = search(field, CLOSED.format(period_s=0.5), *quick, *bound)

    assert (found["users"], found["limit"]) == (20, "bound")
    assert found["requests_per_s"] == pytest.approx(40, rel=0.1)
    assert found["status"] == 0


@pytest.mark.proof
@pytest.mark.timeout(240)
def test_a_closed_system_is_measured(tmp_path, runs_database):
    """One worker, 20 ms, users that come twice a second: 25 users and 50 requests/s, ± 10 %."""
    with (
        known_service(tmp_path, work_ms=20) as service,
        locust_field(tmp_path, service.url, runs_database) as field,
    ):
        options = (*QUICK, "--capacity-start", 20, "--capacity-precision", 0.1)
        options += ("--check-capacity-users", 20)
        found = search(field, CLOSED.format(period_s=0.5), *options)
        shown = json.loads(answer("show", "--json", "--database", field.database))

    assert found["users"] == pytest.approx(25, rel=0.1)
    assert found["requests_per_s"] == pytest.approx(50, rel=0.1)
    assert found["limit"] == "service"
    assert found["broken_part"] == "queue"
    assert found["confirmed"] is True
    assert found["status"] == 0
    assert (shown["objective"]["limit_ms"], shown["objective"]["met"]) == (found["limit_ms"], None)
    assert "capacity" in shown["objective"]["reason"]
    assert shown["verdict"] == {
        "text": found["sentence"],
        "details": {k: v for k, v in found.items() if k not in ("status", "sentence")},
    }


@pytest.mark.proof
@pytest.mark.timeout(240)
def test_a_throttled_generator_is_not_taken_for_the_service(tmp_path, runs_database):
    """A generator busy with itself: "at least", and never a capacity; a check for more fails."""
    with (
        known_service(tmp_path, work_ms=1) as service,
        locust_field(tmp_path, service.url, runs_database) as field,
    ):
        text = CLOSED.format(period_s=0.2) + THROTTLED
        options = (*QUICK, "--slo-p95", 100, "--check-capacity-users", 5000)
        found = search(field, text, *options)

    assert found["limit"] == "generator"
    assert found["at_least"] is True
    assert found["status"] == 3
    assert "generator saturated" in found["sentence"]


def test_a_level_that_a_throttled_generator_broke_says_nothing_of_the_service(
    tmp_path, runs_database
):
    """The log and the level say whose fault it was; stopped there, no users are too many."""
    with (
        known_service(tmp_path, work_ms=1) as service,
        locust_field(tmp_path, service.url, runs_database) as field,
    ):
        file = tmp_path / "scenario.py"
        file.write_text(CLOSED.format(period_s=0.2) + BLOCKED)
        quick = ("--capacity-warm-up", 0, "--capacity-window", 4, "--slo-p95", 100)  # a report: 3 s
        locust = field.headless(file, "--shape", "Capacity", *quick)
        poll_until(lambda: "Level 10 users broke" in locust.text(), "the first level", 60)
        locust.end()

    (level,) = field.query("SELECT details FROM events WHERE kind = 'level' ORDER BY time")[:1]
    ((verdict,),) = field.query("SELECT details FROM events WHERE kind = 'verdict'")
    assert (level[0]["outcome"], level[0]["saturated"], level[0]["limited"]) == (
        "broke",
        True,
        True,
    )
    assert "the load generator was saturated" in locust.text()
    assert (verdict["limit"], verdict["broken_users"]) == ("stopped", None)


@pytest.mark.proof
@pytest.mark.timeout(240)
def test_a_search_over_workers_ends_at_its_bound(tmp_path, runs_database):
    """Two workers, started from the UI: figures of both count; all that was allowed held."""
    with (
        known_service(tmp_path, work_ms=5) as service,
        locust_field(tmp_path, service.url, runs_database) as field,
    ):
        file = tmp_path / "scenario.py"
        file.write_text(CLOSED.format(period_s=0.2))
        master = field.master(file, 2, "--class-picker")
        form = {"user_count": "1", "spawn_rate": "1", "user_classes": "Visitor"}
        form |= {"capacity_start": "6", "capacity_max": "6", "capacity_warm_up": "1"}
        assert master.post("/swarm", shape_class="Capacity", **form)["success"]
        poll_until(lambda: master.state()["state"] == "stopped", "the search's end", 120)
        verdict = poll_until(
            lambda: field.query("SELECT details FROM events WHERE kind = 'verdict'"), "it"
        )

    ((details,),) = verdict
    assert (details["users"], details["limit"]) == (6, "bound")
    assert details["requests_per_s"] == pytest.approx(30, rel=0.15)
