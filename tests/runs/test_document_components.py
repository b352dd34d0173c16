"""A run's document has the components of its service time, and says where the time went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import assembly, document
from swarmscope.runs.document import MAX_SLOWEST
from swarmscope.stack.postgres import Cluster

PARTS = {"queue": 1.0, "service": 20.0, "outside": 2.0}
DIVIDED = PARTS | {"cpu": 4.0, "db": 12.0, "db_calls": 6.0, "other": 4.0}
HOUR = timedelta(hours=1)


def divided(seconds: int) -> list[Sample]:
    """Ten requests per second; every second one queries the database, and takes no longer."""
    plain = PARTS | {"cpu": 4.0, "other": 16.0}
    return [
        Sample(at / 10, 23, f"/{at % 2}", parts=plain if at % 2 else DIVIDED)
        for at in range(seconds * 10)
    ]


@pytest.fixture(scope="module")
def connection(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """Connect to one database for all of this file."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        yield connection


def test_it_has_the_components_of_the_service_time(connection):
    """Of each endpoint and of all, over time, and of the slowest requests; zeros count.

    What no request of the run had is unknown.
    """
    run = store_run(connection, [*divided(20), Sample(10.05, 300, parts=DIVIDED)], START + HOUR)
    made = assembly.assemble(connection, run, whole=True)

    with_db, without, _ = made.endpoints
    assert (with_db.name, with_db.db.requests, with_db.db.mean_ms) == ("/0", 100, 12)
    assert (with_db.db_calls, with_db.cpu.p95_ms) == (6, pytest.approx(4, rel=0.025))
    assert (without.name, without.db.requests, without.db.mean_ms, without.db.p95_ms) == (
        "/1", 100, 0, 0,
    )  # fmt: skip
    assert (without.db_calls, without.other.mean_ms, without.http, without.http_calls) == (
        0, 16, None, None,
    )  # fmt: skip
    assert made.totals.db.mean_ms == pytest.approx(12 * 101 / 201)
    assert made.points.db.mean_ms[5] == 6
    assert made.points.http is None
    slowest = made.slowest[0]
    assert (slowest.t_s, slowest.endpoint, slowest.response_ms) == (9.75, "GET /tests", 300)
    assert (slowest.cpu_ms, slowest.db_ms, slowest.http_ms, slowest.other_ms) == (4, 12, 0, 4)
    assert (slowest.db_calls, slowest.http_calls) == (6, 0)
    assert len(made.slowest) == MAX_SLOWEST
    assert document.decode(document.encode(made)) == made


def test_it_says_where_the_time_went(connection):
    """A part of single endpoints, not of all of them together."""
    slow = DIVIDED | {"service": 100.0, "db": 92.0}
    samples = [Sample(at / 5, 103, "/orders", parts=slow) for at in range(50)]
    run = store_run(connection, [*samples, *divided(10)], START + 2 * HOUR)

    assert assembly.assemble(connection, run, whole=True).findings == [
        "GET /orders spent 92 of 103 ms in 6 database statements; likewise GET /0 (12 of 23 ms).",
        "GET /1 spent 16 of 23 ms on what is not measured (the GIL, a busy CPU, locks, files,"
        " sleeps).",
    ]


def test_a_run_that_is_on_goes_on_from_what_is_known(connection):
    """What has settled is taken from the document before, the rest is what the database has."""
    start = datetime.now(UTC) - timedelta(seconds=100)
    running = store_run(connection, divided(100), start=start, lasted_s=None)
    before = assembly.assemble(connection, running)
    whole = before.points
    points = replace(whole, requests_per_s=[-1.0] * len(whole.t_s), service=None, db=None)
    wrong = replace(before, points=points, slowest=[])

    now = assembly.assemble(connection, running, known=wrong)
    made = now.points

    fresh = next(i for i, rate in enumerate(made.requests_per_s) if rate >= 0)
    assert 60 <= fresh <= 90, "70, and how long it took"
    assert set(made.requests_per_s[:fresh]) == {-1}
    count = len(whole.t_s) - 2  # the second that is on may have got on
    assert made.t_s[:count] == whole.t_s[:count]
    assert made.users[:count] == whole.users[:count]
    assert made.response.p95_ms[:count] == whole.response.p95_ms[:count]
    assert made.requests_per_s[fresh:count] == whole.requests_per_s[fresh:count]
    assert made.service.p95_ms[:fresh] == [None] * fresh
    assert made.service.p95_ms[fresh:count] == whole.service.p95_ms[fresh:count]
    assert made.db.mean_ms[:fresh] == [None] * fresh
    assert made.db.mean_ms[fresh:count] == whole.db.mean_ms[fresh:count] == [6] * (count - fresh)
    assert made.cpu.mean_ms[:count] == whole.cpu.mean_ms[:count]
    assert made.uncorrected is None

    assert (len(before.slowest), now.slowest) == (MAX_SLOWEST, [])

    connection.execute("SELECT close_run(%s, now())", [running])
    assert len(assembly.assemble(connection, running, known=wrong).slowest) == MAX_SLOWEST
    assert min(assembly.assemble(connection, running, known=wrong).points.requests_per_s) >= 0
