"""A document names what broke its run, from the seconds that held and those that broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Json
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run
from support.two_loads import Used, capture

from swarmscope.runs import assembly
from swarmscope.runs.document import Document
from swarmscope.runs.profiles import model as profiles
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import Frame
from swarmscope.runs.resources.model import ResourceKey
from swarmscope.runs.server_series import Capture
from swarmscope.stack.postgres import Cluster

HALF_S = 40  # each load of `two_loads.capture` lasts that long
FAST = {"queue": 1.0, "service": 50.0, "cpu": 2.0, "other": 48.0, "outside": 1.0}
WAITING = FAST | {"service": 600.0, "pool": 550.0}
POOL: Mapping[ResourceKey, Used] = {
    ResourceKey("shop", "workers"): (10, (0.5, 6), (0, 0)),
    ResourceKey("shop", "python"): (2, (0.02, 0.04), (0, 0)),
    ResourceKey("shop", "pool", "shop"): (2, (0.9, 1.98), (0, 5.5)),
}


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        yield connection


def samples(name: Callable[[int], str], parts: Callable[[float], dict[str, float]]) -> list[Sample]:
    """Return the requests of a run of two loads, ten and twenty per second."""
    times = [n / 10 for n in range(10 * HALF_S)]
    times += [HALF_S + n / 20 for n in range(20 * HALF_S)]
    made = []
    for at_s in times:
        found = parts(at_s)
        whole = found["queue"] + found["service"] + found["outside"]
        made.append(Sample(at_s, whole, name(int(at_s // HALF_S)), parts=found))
    return made


def measured(resources: Mapping[ResourceKey, Used] = POOL) -> Capture:
    """Return what Prometheus knew; it begins with the run."""
    return capture({"shop": {"requests_per_s": (10, 20)}}, resources)


def document_of(
    connection: psycopg.Connection[Any], found: list[Sample], made: Capture, ended: bool = True
) -> Document:
    start = START if ended else datetime.now(UTC) - timedelta(seconds=2 * HALF_S + 1)
    lasted_s = 2 * HALF_S if ended else None
    run = store_run(connection, found, start, ramp_s=1, lasted_s=lasted_s)
    connection.execute(
        "UPDATE testrun SET objective_quantile = 0.95, objective_ms = 400,"
        " objective_fail_ratio = 0.01"
    )
    made = replace(made, since=start)
    return assembly.assemble(connection, run, services=lambda *_: made)


def later(at_s: float) -> dict[str, float]:
    return FAST if at_s < HALF_S else WAITING


def test_a_run_that_missed_its_objective_has_a_cause(connection):
    made = document_of(connection, samples(lambda _: "/orders", later), measured())

    assert made.cause
    assert (made.cause.kind, made.cause.detail, made.cause.service) == ("pool", "shop", "shop")
    assert made.cause.sentence.startswith(
        "At 20 requests/s the 2 database connections (pool of 1, 2 workers) were in use 99 % of the"
        " time and requests waited 550 ms for one"
    )
    assert made.cause.grew == "pool"
    assert made.cause.held
    assert made.cause.held.parts["service"] == pytest.approx(50)
    assert made.cause.broke.parts["pool"] == pytest.approx(550)
    assert made.cause.held.requests_per_s == pytest.approx(10, rel=0.05)


def test_ceilings_are_of_the_load_that_held_but_that_of_what_was_full(connection):
    made = document_of(connection, samples(lambda _: "/orders", later), measured())

    ceilings = {one.kind: one.ceiling_per_s for one in made.resources}
    assert ceilings["pool"] == pytest.approx(2 / (1.98 / 20))
    assert ceilings["workers"] == pytest.approx(10 / (0.5 / 10))
    assert [one.kind for one in made.resources] == ["pool", "workers", "python"]
    assert not any(one.forecast for one in made.resources)


def test_a_run_that_met_its_objective_has_ceilings_and_no_cause(connection):
    made = document_of(connection, samples(lambda _: "/orders", lambda _: FAST), measured())

    assert made.cause is None
    assert [one.kind for one in made.resources] == ["pool", "workers", "python"]


def test_requests_that_only_the_load_that_broke_had_are_no_growth(connection):
    """Users turned to a route that takes longer: nothing waits for anything."""
    slow = FAST | {"service": 600.0, "other": 598.0}
    threads = {
        ResourceKey("shop", "workers"): (64, (0.5, 12), (0, 0)),
        ResourceKey("shop", "python"): (1, (0.02, 0.04), (0, 0)),
    }
    found = samples(
        lambda half: "/report" if half else "/orders",
        lambda at_s: FAST if at_s < HALF_S else slow,
    )

    made = document_of(connection, found, measured(threads))

    assert made.cause
    assert made.cause.kind == "unknown"
    assert made.cause.held is None


def test_the_same_routes_that_take_longer_have_a_cause(connection):
    slow = FAST | {"service": 600.0, "other": 598.0}
    threads = {
        ResourceKey("shop", "workers"): (64, (0.5, 12), (0, 0)),
        ResourceKey("shop", "python"): (1, (0.02, 0.04), (0, 0)),
    }
    found = samples(lambda _: "/orders", lambda at_s: FAST if at_s < HALF_S else slow)

    made = document_of(connection, found, measured(threads))

    assert made.cause
    assert made.cause.kind == "lock"


def test_a_profile_names_the_line_where_requests_waited(connection):
    """Of the seconds that broke; the application's own code, not a library's."""
    line, library = (
        Frame("show", "shop/views.py", 88, True),
        Frame("wait", "threading.py", 320, False),
    )
    threads = {
        ResourceKey("shop", "workers"): (64, (0.5, 12), (0, 0)),
        ResourceKey("shop", "python"): (1, (0.02, 0.04), (0, 0)),
    }
    slow = FAST | {"service": 600.0, "other": 598.0}
    found = samples(lambda _: "/orders", lambda at_s: FAST if at_s < HALF_S else slow)
    document_of(connection, found, measured(threads))
    inside = {("/orders", (line, library)): 75, ("", ()): 25}
    for kind, since_s, stacks in (
        (profiles.WAITING, 50, inside),
        (profiles.WAITING, 10, {("", (library,)): 1000}),
        (profiles.CPU, 50, {("", (library,)): 1000}),
    ):
        since = START + timedelta(seconds=since_s)
        profile = profiles.Profile(kind, 15.0, stacks)
        storage.store(connection, START, "shop", since, since + timedelta(seconds=15), profile)

    made = assembly.assemble(connection, START, services=lambda *_: measured(threads))

    assert made.cause
    assert made.cause.frames == ["75 % of waiting in shop/views.py:88 show"]
    assert " 75 % of waiting in shop/views.py:88 show." in made.cause.sentence


def test_a_profile_names_the_line_that_kept_the_generator_busy(connection):
    """Its profiles are of the load generator, whatever the service ran."""
    late = FAST | {"outside": 600.0}
    found = samples(lambda _: "/orders", lambda at_s: FAST if at_s < HALF_S else late)
    generator = {ResourceKey("", "generator"): (1, (0.45, 0.99), (0, 0.05))}
    of_generator = {"shop": {"requests_per_s": (10, 20)}, "": {"loop_lag_ms": (8, 60)}}
    made = replace(capture(of_generator, POOL | generator), since=START)
    document_of(connection, found, made)
    line = Frame("sign", "locustfile.py", 12, True)
    since = START + timedelta(seconds=50)
    for job, function in ((storage.GENERATOR, line), ("shop", Frame("show", "views.py", 8, True))):
        profile = profiles.Profile(profiles.CPU, 15.0, {("", (function,)): 62, ("", ()): 38})
        storage.store(connection, START, job, since, since + timedelta(seconds=15), profile)

    document = assembly.assemble(connection, START, services=lambda *_: made)

    assert document.cause
    assert document.cause.kind == "generator"
    assert document.cause.frames == ["62 % of CPU in locustfile.py:12 sign"]
    assert " 62 % of CPU in locustfile.py:12 sign." in document.cause.sentence


def test_a_running_run_has_a_hint_of_its_last_seconds(connection):
    """Which is the same as the cause of a run that is over."""
    made = document_of(connection, samples(lambda _: "/orders", later), measured(), ended=False)

    assert made.cause
    assert made.cause.kind == "pool"


def test_a_run_that_recovered_has_no_hint_any_more(connection):
    found = samples(lambda _: "/orders", lambda at_s: WAITING if at_s < HALF_S else FAST)

    assert document_of(connection, found, measured(), ended=False).cause is None


def test_a_verdict_keeps_the_cause_that_it_said(connection):
    first = document_of(connection, samples(lambda _: "/orders", later), measured())
    assert first.cause
    said = {"kind": "unknown", "detail": "", "service": None, "words": "", "sentence": "So it was."}
    said |= {"agrees": False, "grew": None, "held": None}
    said |= {"broke": {"requests_per_s": 1.0, "response_ms": 2.0, "parts": {}}}
    levels = [("level", "held", 10, HALF_S), ("level", "broke", 20, 2 * HALF_S)]
    for kind, outcome, users, at_s in levels:
        details = {"users": users, "outcome": outcome, "measured_s": 30.0, "requests": 300}
        details |= dict.fromkeys(("requests_per_s", "fail_ratio", "p50_ms", "p95_ms", "p99_ms"))
        details |= dict.fromkeys(("queue_p95_ms", "outside_p95_ms", "broken_endpoint"))
        store_event(
            connection,
            at_s,
            kind,
            {**details, "endpoint_p95_ms": None, "saturated": False, "limited": False},
        )
    store_event(connection, 2 * HALF_S, "verdict", {"cause": said})
    made = assembly.assemble(connection, START, services=lambda *_: measured())

    assert made.cause
    assert made.cause.sentence == "So it was."

    connection.execute("UPDATE events SET details = '{}' WHERE kind = 'verdict'")
    made = assembly.assemble(connection, START, services=lambda *_: measured())

    assert made.cause
    assert made.cause.kind == "pool"


def store_event(
    connection: psycopg.Connection[Any], at_s: float, kind: str, details: dict[str, Any]
) -> None:
    connection.execute(
        "INSERT INTO events (time, run_id, kind, text, details) VALUES (%s, %s, %s, '', %s)",
        [START + timedelta(seconds=at_s), START, kind, Json(details)],
    )


def test_a_queue_is_divided_into_what_is_known_of_it(connection):
    found = samples(lambda _: "/orders", lambda _: FAST | {"queue": 40.0})
    series = {
        "requests_per_s": (10.0, 20.0),
        "accept_queue_ms": (5.0, 20.0),
        "run_delay_ms": (1.0, 1.0),
    }
    made = capture({"shop": series, "": {"loop_lag_ms": (2.0, 2.0)}}, POOL)

    parts = document_of(connection, found, made).queue_parts

    assert parts
    assert parts.queue_ms == pytest.approx(40)
    assert parts.accept_queue_ms == pytest.approx(15, abs=0.2)  # (10 × 5 + 20 × 20) ÷ 30
    assert (parts.generator_lag_ms, parts.cpu_wait_ms) == pytest.approx((2, 1), abs=0.1)
    assert parts.worker_queue_ms is None
    assert parts.rest_ms == pytest.approx(22, abs=0.3)


def test_requests_without_a_start_header_are_noted(connection):
    without = {"service": 50.0, "cpu": 2.0, "other": 48.0}
    found = [replace(one, parts=without) for one in samples(lambda _: "/orders", lambda _: FAST)]

    made = document_of(connection, found, measured())

    assert made.queue_parts is None
    assert [note[:46] for note in made.notes] == ["100 % of the requests have no queue: they came"]
