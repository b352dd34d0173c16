"""Forgetting raw requests after a while; histograms, runs and events stay for ever."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from swarmscope.runs.schema import persist, timescale

Connection = psycopg.Connection[Any]

AT_START_S = 5.0  # what a start may spend on pruning
STEP = timedelta(minutes=1)  # one transaction's share, so that none grows with the run
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str) -> timedelta:
    """Return the span of ``30d``, ``12h``, ``90m`` or ``2w``; anything else raises ValueError."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if not match:
        raise ValueError(f"{text!r} is no age; write 30d, 12h, 90m or 2w")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def default_age(connection: Connection) -> timedelta:
    """Return how long raw requests are kept, from the row ``keep_requests_days`` of `setting`."""
    row = connection.execute("SELECT setting_of('keep_requests_days')").fetchone()
    if not row or row[0] is None:
        raise LookupError("the table `setting` has no row keep_requests_days")
    return timedelta(days=row[0])


def prunable(connection: Connection, before: datetime) -> int:
    """Count the raw requests that started before *before*."""
    row = connection.execute("SELECT count(*) FROM request WHERE time < %s", [before]).fetchone()
    assert row
    return int(row[0])


def prune(connection: Connection, older_than: timedelta, most_seconds: float = math.inf) -> int:
    """Delete raw requests that started longer ago than *older_than*; return how many.

    *connection* is in autocommit mode: each step is a transaction, and an interrupted prune has
    done a part of its work. So has one that ends after *most_seconds*, to hold no start up; the
    next goes on. With TimescaleDB whole days go by dropping their chunks. Raises `DeadlockDetected`
    when one of the steps ended in a deadlock again and again.
    """
    end = time.monotonic() + most_seconds
    before = datetime.now(UTC) - older_than
    deleted = 0
    for step in _steps(connection, before):
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            deleted += persist(connection, step, left)
        except psycopg.errors.LockNotAvailable:
            break
    return deleted


def _steps(connection: Connection, before: datetime) -> Iterator[Callable[[], int]]:
    """Yield what is to be done, a transaction each, which returns how many requests it deleted."""
    for chunk in timescale.chunks(connection, before):
        yield partial(timescale.drop_chunk, connection, chunk)
    start = datetime.min.replace(tzinfo=UTC)
    while oldest := _oldest(connection, start, before):
        start = min(oldest + STEP, before)
        yield partial(_delete, connection, oldest, start)


def _delete(connection: Connection, since: datetime, until: datetime) -> int:
    return connection.execute(
        "DELETE FROM request WHERE time >= %s AND time < %s", [since, until]
    ).rowcount


def _oldest(connection: Connection, start: datetime, before: datetime) -> datetime | None:
    row = connection.execute(
        "SELECT min(time) FROM request WHERE time >= %s AND time < %s", [start, before]
    ).fetchone()
    return row[0] if row else None
