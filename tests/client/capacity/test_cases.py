"""Searches over scenarios as people write them: figures are right, and each search ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from support.locust import Field
from support.waiting import poll_until

USERS = """
import gevent
from types import SimpleNamespace
from locust import User, constant, events, tag, task
from swarmscope.client import Capacity

def fire(user, kind="X", name="x", ms=5.0, **more):
    fields = {"response_length": 0, "context": {}, "response": None, "exception": None}
    user.environment.events.request.fire(
        request_type=kind, name=name, response_time=ms, **{**fields, **more})

class Visitor(User):
    wait_time = constant(0.05)

    @task
    def visit(self):
        fire(self)
"""
QUICK = ("--capacity-warm-up", 0, "--capacity-window", 2, "--shape", "Capacity")


@dataclass
class Found:
    """What a search left behind."""

    verdict: dict[str, Any]
    sentence: str
    levels: list[dict[str, Any]]
    log: str
    status: int


def search(field: Field, text: str, *options: object, seconds: float = 90) -> Found:
    """Let a swarm of *text*'s users search until it ends by itself."""
    file = field.directory / "scenario.py"
    file.write_text(USERS + text)
    locust = field.headless(file, *QUICK, *options)
    status = locust.process.wait(seconds)
    ((sentence, verdict),) = field.query("SELECT text, details FROM events WHERE kind = 'verdict'")
    levels = field.query("SELECT details FROM events WHERE kind = 'level' ORDER BY time")
    return Found(verdict, sentence, [details for (details,) in levels], locust.text(), status)


def test_failures_count_whatever_a_listener_raises(field: Field):
    """Half of the requests fail, and a listener of the scenario ends the event at each of them."""
    text = """
    number = 0

    @task
    def visit(self):
        self.number += 1
        fire(self, exception=ValueError("half") if self.number % 2 else None)

from locust_plugins.listeners import RescheduleTaskOnFail

@events.init.add_listener
def stop_tasks(environment, **_):
    RescheduleTaskOnFail(environment)
"""
    found = search(field, text, "--capacity-start", 4, "-t", 15)

    assert found.levels[0]["users"] == 4
    assert found.levels[0]["outcome"] == "broke"
    assert found.levels[0]["fail_ratio"] == pytest.approx(0.5, abs=0.1)
    assert "% of requests failed" in found.sentence


def test_a_response_may_be_anything(field: Field):
    """Headers that are a list, and ones that raise when they are read: measured, no traceback."""
    text = """
    @task
    def other(self):
        fire(self, response=SimpleNamespace(headers=[("server-timing", "app;dur=1")]))

class Broken(Visitor):
    class Response:
        @property
        def headers(self):
            raise RuntimeError("not read yet")

    @task
    def visit(self):
        fire(self, response=self.Response())
"""
    found = search(field, text, "--capacity-start", 4, "--capacity-max", 4)

    assert "Traceback" not in found.log
    assert (found.verdict["users"], found.verdict["limit"]) == (4, "bound")
    assert found.verdict["response"]["p95"] == pytest.approx(5, rel=0.03)


def test_times_that_are_none_are_no_reason_to_hang(field: Field):
    """Nothing, text, not-a-number: such requests count, have no latency, and stop nothing."""
    text = """
    @task
    def odd(self):
        for ms in (None, "7", float("nan"), -1.0):
            fire(self, ms=ms)
"""
    found = search(field, text, "--capacity-start", 2, "--capacity-max", 2)

    assert (found.verdict["users"], found.verdict["limit"]) == (2, "bound")
    assert found.verdict["response"]["p95"] == pytest.approx(5, rel=0.03)


ENDS = """
    number = born = 0

    def on_start(self):
        Visitor.born += 1
        if type(self).dies and Visitor.born > 4:
            raise RuntimeError("no such account")

    @task
    def leave(self):
        self.number += 1
        if self.number > 5 and type(self).leaves:
            self.stop(force=True)

    dies, leaves = {dies}, {leaves}
"""


@pytest.mark.parametrize(
    ("dies", "leaves", "words"),
    [
        pytest.param(True, False, "only 4 of 10 users ran", id="die in on_start"),
        pytest.param(False, True, "none of 10 users was running", id="end by themselves"),
    ],
)
def test_users_that_are_not_there_end_the_search(field: Field, dies, leaves, words):
    """Ten wanted, fewer run: nothing is claimed of ten, and the reason is said."""
    found = search(field, ENDS.format(dies=dies, leaves=leaves), "--capacity-start", 10)

    assert (found.verdict["users"], found.verdict["limit"]) == (0, "users")
    assert found.sentence.startswith(f"Nothing is known about the application: {words}")


def test_a_fixed_count_bounds_the_search(field: Field):
    """No more users than the scenario has; said beside the answer."""
    text = "\nVisitor.fixed_count = 3\n"
    found = search(field, text, "--capacity-start", 10, "--capacity-max", 50)

    assert (found.verdict["users"], found.verdict["limit"]) == (3, "bound")
    assert "No more than 3 users: all user classes have a fixed_count." in found.sentence


def test_users_without_a_task_are_not_counted(field: Field):
    """--tags leave one class nothing to do: all users are of the other."""
    text = """
class Other(User):
    wait_time = constant(0.05)

    @tag("b")
    @task
    def visit(self):
        fire(self, name="b")
"""
    found = search(field, text, "--tags", "b", "--capacity-start", 4, "--capacity-max", 4)

    assert found.verdict["users"] == 4
    assert found.verdict["requests_per_s"] == pytest.approx(80, rel=0.3)
    assert "No users of Visitor: --tags or --exclude-tags leave them" in found.sentence


def test_users_count_when_they_are_at_work(field: Field):
    """An on_start of two seconds, as long as a level: none is measured before it is over."""
    text = """
    def on_start(self):
        gevent.sleep(2)
"""
    found = search(field, text, "--capacity-start", 4, "--capacity-max", 4)

    assert [level["outcome"] for level in found.levels] == ["held", "held"]
    assert found.levels[0]["requests_per_s"] == pytest.approx(80, rel=0.3)


def test_the_run_time_bounds_the_search(field: Field):
    """What is known by then is the verdict: at least what held, below what broke."""
    text = """
    @task
    def visit(self):
        fire(self, ms=5.0 if self.environment.runner.user_count < 16 else 900.0)
"""
    options = ("--capacity-start", 4, "-t", 12, "--check-capacity-users", 12)
    found = search(field, text, *options, seconds=60)

    assert "The search takes at most 12 s" in found.log
    assert found.verdict["seconds"] <= 13
    assert found.verdict["limit"] == "time"
    assert found.verdict["users"] < 16 <= (found.verdict["broken_users"] or 16)
    assert "users: time was up after 12 s." in found.sentence
    assert found.status == (0 if found.verdict["users"] >= 12 else 4)


def test_a_search_that_is_stopped_says_what_is_known(field: Field):
    """By SIGTERM, which Locust leaves to the system while a shape drives: what held, and why."""
    file = field.directory / "scenario.py"
    file.write_text(USERS)
    locust = field.headless(file, *QUICK, "--capacity-start", 4, "--capacity-precision", 0.01)
    poll_until(lambda: "Level 4 users held" in locust.text(), "the first level", 60)
    locust.end()

    ((sentence, verdict),) = field.query("SELECT text, details FROM events WHERE kind = 'verdict'")
    assert verdict["limit"] == "stopped"
    assert verdict["users"] >= 4
    assert "users: the run was stopped." in sentence


def test_a_figure_that_is_no_request_decides_nothing(field: Field):
    """HTTP at 5 ms beside a time from end to end of two seconds, which is left out by its type."""
    text = """
    @task
    def visit(self):
        fire(self, kind="GET", name="/x")
        fire(self, kind="KPI", name="end to end", ms=2000.0)
"""
    found = search(field, text, "--capacity-start", 4, "--capacity-max", 4)

    assert (found.verdict["users"], found.verdict["limit"]) == (4, "bound")
    assert found.verdict["left_out"].keys() == {"KPI"}
    assert "of type KPI (not HTTP; --slo-requests can count them)" in found.sentence


def test_what_counts_can_be_said(field: Field):
    """By type; and a limit of its own for one endpoint."""
    text = """
    @task
    def visit(self):
        fire(self, kind="GET", name="/x")
        fire(self, kind="GET", name="/slow", ms=300.0)
        fire(self, kind="KPI", name="end to end", ms=2000.0)
"""
    options = ("--slo-requests", "GET, POST", "--slo-p95", "GET /slow=200", "-t", 12)
    found = search(field, text, "--capacity-start", 4, *options)

    assert found.levels[0]["outcome"] == "broke"
    assert found.levels[0]["broken_endpoint"] == "GET /slow"
    assert "of GET /slow p95 within 200 ms" in found.sentence
    assert found.verdict["requests"] == "GET, POST"


def test_nothing_that_counts_is_nothing_known(field: Field):
    """A pattern that matches no request: no capacity, and the types that there are."""
    found = search(field, "", "--slo-requests", "GET", "--capacity-start", 4)

    assert found.verdict["limit"] == "silence"
    assert "no request matches 'GET'; the only types are X" in found.sentence
