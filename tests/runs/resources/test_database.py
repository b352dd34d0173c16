"""The app's database on the axis of a capture, from samples whose figures are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from swarmscope.runs.prometheus import Axis
from swarmscope.runs.resources import database
from swarmscope.runs.resources.database import (
    DatabaseSample,
    DatabaseStatement,
    LockWait,
    database_series,
)
from swarmscope.runs.resources.model import ResourceKey
from swarmscope.runs.schema import maintenance

RUN = datetime(2026, 11, 30, 12, tzinfo=UTC)
AXIS = Axis(RUN.timestamp(), 2, 4)  # at 0, 2, 4 and 6 s


def at(seconds: float) -> datetime:
    return RUN + timedelta(seconds=seconds)


def sample(seconds: float, **known: float | None) -> DatabaseSample:
    """A sample of a database that does nothing, except for what is *known*."""
    idle = dict.fromkeys(
        ("on_cpu", "io", "lock", "lwlock", "client", "other", "idle_in_transaction"), 0
    )
    values = {"cores": None, "cpu_s": None, "locks_contended": 0, **idle, **known}
    return DatabaseSample(
        at(seconds), "shop", **{"connections": 10, "max_connections": 97, **values}
    )


@pytest.fixture
def usage(connection):
    """Return a function that stores samples and returns the use of a kind of resource."""

    def usage(kind: str, *samples: DatabaseSample):
        database.store(connection, RUN, samples)
        return database_series(connection, RUN, AXIS)[ResourceKey("", kind, "shop")]

    return usage


def test_a_run_without_samples_has_no_database(connection):
    assert database_series(connection, RUN, AXIS) == {}


def test_a_point_is_the_mean_of_the_samples_around_it(usage):
    """Where there are none, nothing is known."""
    found = usage(
        "database",
        sample(1.2, on_cpu=4, io=1),
        sample(2.5, on_cpu=2, lwlock=2),
        sample(3.5, on_cpu=1, other=7, client=7, lock=7),
        sample(9.0, on_cpu=9),
    )
    assert found.used == [None, 3, 1, None]
    assert found.waiting == [None, 1.5, 0, None]
    assert found.places == [None] * 4


def test_cpu_time_of_the_server_is_better_than_sessions(usage):
    """Who computes and got no core waits for one. A restarted server's time is not known."""
    found = usage(
        "database",
        sample(1, on_cpu=5, cores=2.0, cpu_s=10.0),
        sample(2, on_cpu=5, cores=2.0),
        sample(3, on_cpu=5, cores=2.0, cpu_s=13.0),
        sample(5, on_cpu=3, cores=2.0, cpu_s=0.5),
    )
    assert found.places == [None, 2, 2, 2]
    assert found.used == [None, 1.5, 1.5, None]
    assert found.waiting == [None, 3.5, 3.5, None]


def test_a_row_is_in_use_while_somebody_waits_for_it(usage):
    found = usage(
        "database_lock",
        sample(1, lock=3, locks_contended=1),
        sample(2),
        sample(3, lock=7, locks_contended=1),
        sample(6),
    )
    assert found.places == [None, 1, 1, 1]
    assert found.used == [None, 0.5, 1, 0]
    assert found.waiting == [None, 1.5, 7, 0]


def test_as_many_rows_are_places_as_are_usually_contended(usage):
    """A second row that is waited for once in a while does not halve the use of the first."""
    hot = [sample(1 + n / 20, lock=5, locks_contended=1) for n in range(1, 40)]
    found = usage("database_lock", *hot, sample(2.99, lock=9, locks_contended=2), sample(3, lock=0))
    assert found.places == [None, 1, 1, None]
    assert found.used == [None, 1, 0, None]


def test_what_a_role_may_not_see_is_not_known(usage, connection):
    hidden = dict.fromkeys(("on_cpu", "io", "lock", "lwlock", "locks_contended"))
    found = usage("database", sample(1, **hidden))
    assert found.used == found.waiting == [None] * 4
    series = database_series(connection, RUN, AXIS)
    locks = series[ResourceKey("", "database_lock", "shop")]
    assert locks.places == locks.used == locks.waiting == [None] * 4
    connections = series[ResourceKey("", "database_connections", "shop")]
    assert connections.used == [None, 10, None, None]
    assert connections.places == [None, 97, None, None]
    assert connections.waiting == [None] * 4


def test_statements_of_a_span_are_added_up(connection):
    rows = [
        DatabaseStatement(at(10), "SELECT ?", 10, 10, 1.0),
        DatabaseStatement(at(20), "SELECT ?", 5, 5, 0.5),
        DatabaseStatement(at(20), "UPDATE t SET a = ?", 1, 0, 4.0),
        DatabaseStatement(at(30), "DELETE FROM t", 1, 0, 9.0),
    ]
    database.store(connection, RUN, rows)
    assert database.statements(connection, RUN, [(at(0), at(20))]) == [
        rows[2],
        DatabaseStatement(at(20), "SELECT ?", 15, 15, 1.5),
    ]


def test_waits_of_a_span_are_means(connection):
    """Of its windows in which anybody waited."""
    key = ("stock", "UPDATE stock SET n = ?", "UPDATE stock SET n = ?", "active")
    rows = [
        LockWait(at(10), *key, 4.0, 5),
        LockWait(at(20), *key, 2.0, 9),
        LockWait(at(20), "", "SELECT ?", "", "", 1.0, 1),
        LockWait(at(30), *key, 50.0, 50),
    ]
    database.store(connection, RUN, rows)
    assert database.lock_waits(connection, RUN, [(at(0), at(20))]) == [
        LockWait(at(20), *key, 3.0, 9),
        LockWait(at(20), "", "SELECT ?", "", "", 0.5, 1),
    ]


def test_samples_are_deleted_with_raw_requests(connection):
    """By their own time: a run that is still new keeps them."""
    now = datetime.now(UTC)
    samples = [replace(sample(0), time=now - timedelta(days=age)) for age in (1, 31)]
    database.store(connection, RUN, samples)
    maintenance.prune(connection, timedelta(days=30))
    assert database.samples(connection, RUN) == samples[:1]


def test_the_statement_that_took_the_databases_time_is_named(connection):
    """By its share of the spans, to which a window belongs that was mostly in one."""
    rows = [
        DatabaseStatement(at(10), "SELECT a FROM t WHERE b = ?", 10, 10, 6.0),
        DatabaseStatement(at(10), "UPDATE t SET a = ?", 5, 5, 2.0),
        DatabaseStatement(at(4), "SELECT before", 1, 1, 90.0),
        DatabaseStatement(at(24), "UPDATE t SET a = ?", 1, 1, 1.0),
        DatabaseStatement(at(26), "SELECT after", 1, 1, 90.0),
        DatabaseStatement(at(54), "UPDATE t SET a = ?", 1, 1, 1.0),
    ]
    database.store(connection, RUN, rows)
    spans = [(at(0), at(20)), (at(40), at(50))]
    assert database.named(connection, RUN, "database", spans) == [
        "60 % of its time went to SELECT a FROM t WHERE b = ?"
    ]
    assert database.named(connection, RUN, "database", []) == []


@pytest.mark.parametrize(
    ("blocking", "state", "words"),
    [
        ("UPDATE stock SET n = ?", "active", ""),
        ("", "", ""),
        ("DELETE FROM stock", "active", "; DELETE FROM stock had the lock"),
        (
            "SELECT ?",
            "idle in transaction (aborted)",
            "; who had the lock was idle in a transaction, after SELECT ?",
        ),
    ],
)
def test_the_statement_that_waited_is_named(connection, blocking, state, words):
    update = "UPDATE stock SET n = ?"
    waits = [LockWait(at(10), "stock", update, blocking, state, 11.8, 15)]
    database.store(connection, RUN, [*waits, LockWait(at(10), "t", "", "", "", 50.0, 50)])
    assert database.named(connection, RUN, "database_lock", [(at(0), at(10))]) == [
        f"12 sessions waited in {update}{words}"
    ]
