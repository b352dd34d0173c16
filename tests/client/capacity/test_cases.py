"""Searches over scenarios as people write them: figures are right, and each search ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from support.databases import fresh_runs_database
from support.locust import Field, Locust, locust_field
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
KINDS = """
class HalfFails(User):
    wait_time = constant(0.05)
    number = 0

    @task
    def visit(self):
        self.number += 1
        fire(self, exception=ValueError("half") if self.number % 2 else None)

class ListOfHeaders(Visitor):
    @task
    def other(self):
        fire(self, response=SimpleNamespace(headers=[("server-timing", "app;dur=1")]))

class BrokenHeaders(User):
    wait_time = constant(0.05)

    class Response:
        @property
        def headers(self):
            raise RuntimeError("not read yet")

    @task
    def visit(self):
        fire(self, response=self.Response())

class OddTimes(Visitor):
    @task
    def odd(self):
        for ms in (None, "7", float("nan"), -1.0):
            fire(self, ms=ms)

class Dies(Visitor):
    born = 0

    def on_start(self):
        Dies.born += 1
        if Dies.born > 4:
            raise RuntimeError("no such account")

class Leaves(Visitor):
    number = 0

    @task
    def leave(self):
        self.number += 1
        if self.number > 5:
            self.stop(force=True)

class Three(Visitor):
    fixed_count = 3

class StartsSlowly(Visitor):
    def on_start(self):
        gevent.sleep(2)

class FromEndToEnd(User):
    wait_time = constant(0.05)

    @task
    def visit(self):
        fire(self, kind="GET", name="/x")
        fire(self, kind="KPI", name="end to end", ms=2000.0)

from locust_plugins.listeners import RescheduleTaskOnFail

@events.init.add_listener
def stop_tasks(environment, **_):
    RescheduleTaskOnFail(environment)
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


@pytest.fixture(scope="module")
def find(cluster, target, tmp_path_factory) -> Iterator[Callable[..., Found]]:
    """Return what lets users of some classes of `KINDS` search, one after another in one Locust."""
    with (
        fresh_runs_database(cluster) as database,
        locust_field(tmp_path_factory.mktemp("kinds"), target.url, database) as field,
    ):
        file = field.directory / "scenario.py"
        file.write_text(USERS + KINDS)
        locust = field.with_ui(file, *QUICK[:4], "--class-picker")
        yield partial(found_from_the_ui, field, locust)


def found_from_the_ui(
    field: Field, locust: Locust, classes: str, seconds: int = 60, **form: int
) -> Found:
    """Let users of *classes* search as *form* says, until the search ends or *seconds* are over."""
    before, log = field.value("SELECT count(*) FROM testrun"), len(locust.text())
    classes_and_time = {"user_classes": classes.split(), "run_time": seconds}
    limits = {f"capacity_{name}": value for name, value in ({"max": 1000} | form).items()}
    started = {"shape_class": "Capacity", "user_count": 1, "spawn_rate": 1}
    assert locust.post("/swarm", **started, **classes_and_time, **limits)["success"]
    ended = "SELECT run_id FROM run WHERE complete ORDER BY started OFFSET %s"
    ((run,),) = poll_until(lambda: field.query(ended, before), "the search's end", 60)
    poll_until(lambda: locust.state()["state"] in ("stopped", "ready"), "Locust to be ready", 60)
    events = "SELECT text, details FROM events WHERE run_id = %s AND kind = %s ORDER BY time"
    ((sentence, verdict),) = field.query(events, run, "verdict")
    levels = [details for _, details in field.query(events, run, "level")]
    return Found(verdict, sentence, levels, locust.text()[log:], 0)


def test_failures_count_whatever_a_listener_raises(find):
    """Half of the requests fail, and a listener of the scenario ends the event at each of them."""
    found = find("HalfFails", seconds=12, start=4)

    assert found.levels[0]["users"] == 4
    assert found.levels[0]["outcome"] == "broke"
    assert found.levels[0]["fail_ratio"] == pytest.approx(0.5, abs=0.1)
    # where the machine is so busy that the generator counts as the limit, the verdict is "unknown"
    assert found.levels[0]["limited"] or "% of requests failed" in found.sentence


def test_a_response_may_be_anything(find):
    """Headers that are a list, and ones that raise when they are read: measured, no traceback."""
    found = find("ListOfHeaders BrokenHeaders", start=4, max=4)

    assert "Traceback" not in found.log
    assert (found.verdict["users"], found.verdict["limit"]) == (4, "bound")
    assert found.verdict["response"]["p95"] == pytest.approx(5, rel=0.03)


def test_times_that_are_none_are_no_reason_to_hang(find):
    """Nothing, text, not-a-number: such requests count, have no latency, and stop nothing."""
    found = find("OddTimes", start=2, max=2)

    assert (found.verdict["users"], found.verdict["limit"]) == (2, "bound")
    assert found.verdict["response"]["p95"] == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("Dies", "only 4 of 10 users ran", id="die in on_start"),
        pytest.param("Leaves", "none of 10 users was running", id="end by themselves"),
    ],
)
def test_users_that_are_not_there_end_the_search(find, kind, words):
    """Ten wanted, fewer run: nothing is claimed of ten, and the reason is said."""
    found = find(kind, start=10)

    assert (found.verdict["users"], found.verdict["limit"]) == (0, "users")
    assert found.sentence.startswith(f"Nothing is known about the application: {words}")


def test_a_fixed_count_bounds_the_search(find):
    """No more users than the scenario has; said beside the answer."""
    found = find("Three", start=10, max=50)

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


def test_users_count_when_they_are_at_work(find):
    """An on_start of two seconds, as long as a level: none is measured before it is over."""
    found = find("StartsSlowly", start=4, max=4)

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


def test_a_figure_that_is_no_request_decides_nothing(find):
    """HTTP at 5 ms beside a time from end to end of two seconds, which is left out by its type."""
    found = find("FromEndToEnd", start=4, max=4)

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
