"""Upkeep of the runs database: deleting what is old and detailed, joining histograms.

Histograms, runs and events are kept for ever. Every figure is a sum over the rows of a window, so
it is the same before, during and after they are joined.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import persist, timescale

AT_START_S = 5.0  # a start spends at most this long on pruning
PRUNE_STEP = timedelta(minutes=1)  # per transaction, so that none grows with the run
COMPACT_STEP = timedelta(minutes=2)  # of a run, per transaction
SETTLED = timedelta(seconds=30)  # after it, little that finished before is still to be delivered
OTHERS = {  # what is deleted with raw requests, and its time
    "profile": "until",
    "database_sample": "time",
    "database_statement": "time",
    "database_lock_wait": "time",
}
# The oldest request of each run by its index, which is not by time alone.
OLDEST = """
    WITH RECURSIVE run_of AS (
        SELECT min(run_id) AS id FROM request
        UNION ALL
        SELECT (SELECT min(run_id) FROM request WHERE run_id > id) FROM run_of WHERE id IS NOT NULL
    )
    SELECT min(r.time) FROM run_of CROSS JOIN LATERAL (
        SELECT time FROM request WHERE run_id = id AND time >= %s AND time < %s
        ORDER BY time LIMIT 1
    ) r
"""
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str) -> timedelta:
    """Return the span of ``30d``, ``12h``, ``90m`` or ``2w``; anything else raises ValueError."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not an age; write 30d, 12h, 90m or 2w")
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


def prune(connection: Connection, older_than: timedelta, max_seconds: float = math.inf) -> int:
    """Delete raw requests that started longer ago than *older_than*; return how many.

    Profiles that ended before it, and samples of the app's database, go with them.

    *connection* is in autocommit mode and each step is a transaction, so an interrupted prune keeps
    what it did. It stops after *max_seconds*, so as not to delay a start; the next call continues.
    With TimescaleDB whole days go by dropping their chunks. Raises `DeadlockDetected` when a step
    deadlocked too many times.
    """
    end = time.monotonic() + max_seconds
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
    """Yield the steps, one transaction each; a step returns how many requests it deleted."""
    for chunk in timescale.chunks(connection, before):
        yield partial(timescale.drop_chunk, connection, chunk)
    yield partial(_delete_others, connection, before)
    start = datetime.min.replace(tzinfo=UTC)
    while oldest := _oldest(connection, start, before):
        start = min(oldest + PRUNE_STEP, before)
        yield partial(_delete, connection, oldest, start)


def _delete(connection: Connection, since: datetime, until: datetime) -> int:
    return connection.execute(
        "DELETE FROM request WHERE time >= %s AND time < %s", [since, until]
    ).rowcount


def _delete_others(connection: Connection, before: datetime) -> int:
    for table, time_of in OTHERS.items():
        connection.execute(f"DELETE FROM {table} WHERE {time_of} < %s", [before])
    return 0


def _oldest(connection: Connection, start: datetime, before: datetime) -> datetime | None:
    row = connection.execute(OLDEST, [start, before]).fetchone()
    return row[0] if row else None


def compact(connection: Connection, run_id: datetime | str) -> int:
    """Join the rows of each 10 s and 60 s window of a run; return how many rows that made.

    Does nothing while more may arrive: the run is running, or a worker has not delivered its end.
    *connection* is in autocommit mode; every two minutes of the run are a transaction, so this may
    be interrupted, repeated, and done by several processes at once.
    """
    joined = 0
    for since in compactable(connection, run_id):
        row = connection.execute(
            "SELECT compact(%s, %s, %s)", [run_id, since, since + COMPACT_STEP]
        )
        joined += row.fetchall()[0][0]
    return joined


def compact_running(connection: Connection, after: datetime) -> datetime:
    """Join the 60 s windows of running runs that began at *after* or later, and have settled.

    Those are what figures of a whole run are read from: without it, reading them costs as much as
    the run has workers, until it is over. Returns what to give as *after* the next time. Runs'
    10 s windows keep their journals. *connection* is in autocommit mode.
    """
    until: datetime
    query = "SELECT date_bin(%s, now() - %s, 'epoch')"
    ((until,),) = connection.execute(query, [COMPACT_STEP, SETTLED]).fetchall()
    found = connection.execute(
        "SELECT DISTINCT h.run_id, date_bin(%s, h.time, 'epoch') AS span"
        " FROM testrun t JOIN histogram_closed h ON h.run_id = t.id"
        " WHERE t.status = 'running' AND h.resolution = 60 AND h.part = 'response'"
        " AND h.name = '' AND h.request_type = '' AND h.time >= %s AND h.time < %s"
        " ORDER BY h.run_id, span",
        [COMPACT_STEP, after, until],
    ).fetchall()
    for run_id, since in found:
        connection.execute(
            "SELECT compact(%s, %s, %s, '{60}')", [run_id, since, since + COMPACT_STEP]
        )
    return until


def compactable(connection: Connection, run_id: datetime | str) -> list[datetime]:
    """Return where the spans with windows begin, of a run that has ended and was delivered."""
    found = connection.execute(
        "SELECT DISTINCT date_bin(%s, h.time, 'epoch') AS span"
        " FROM histogram_closed h JOIN testrun t ON t.id = h.run_id"
        " WHERE h.run_id = %s AND resolution = 60 AND part = 'response' AND name = ''"
        " AND status <> 'running' AND NOT EXISTS"
        "    (SELECT 1 FROM run_worker w WHERE w.run_id = t.id AND outcome IS NULL)"
        " ORDER BY span",
        [COMPACT_STEP, run_id],
    ).fetchall()
    return [since for (since,) in found]
