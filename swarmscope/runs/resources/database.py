"""What the app's database was doing during a run, as a shipper sampled it every second.

Sessions are of the app's database, connections of its whole server. PostgreSQL only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from statistics import fmean
from typing import Any

from psycopg.rows import class_row

from swarmscope.runs.connection import Connection
from swarmscope.runs.prometheus import Axis
from swarmscope.runs.resources.model import Points, ResourceKey, Usage

MAX_STATEMENTS = 20
MAX_LOCK_WAITS = 5
WINDOW_S = 10.0  # of statements and of waits for locks
SHOWN = 80  # characters of a statement in a sentence
IN_SPANS = (
    "WHERE run_id = %(run)s AND EXISTS (SELECT FROM"
    " unnest(%(since)s::timestamptz[], %(until)s::timestamptz[]) AS span (since, until)"
    " WHERE time > since AND time <= until)"
)
USUAL_SHARE = 0.95  # of the seconds with contention, to find how many locks are contended at once


@dataclass(frozen=True)
class DatabaseSample:
    """Sessions at a moment; those in a statement are counted by what they wait for.

    The kinds are PostgreSQL's wait event types; *lwlock* has buffer pins, too. They are None where
    the role may not see what other sessions do. *cores* and *cpu_s*, the CPU time that the server's
    processes used so far and that is read now and then, are None on another machine.
    """

    time: datetime
    database: str
    cores: float | None
    cpu_s: float | None
    on_cpu: int | None  # wait for nothing
    io: int | None
    lock: int | None
    lwlock: int | None
    client: int | None
    other: int | None
    idle_in_transaction: int | None
    locks_contended: int | None  # rows and other objects that *lock* wait for
    connections: int
    max_connections: int


@dataclass(frozen=True)
class DatabaseStatement:
    """What a statement took in the seconds before *time*, of all sessions together."""

    time: datetime
    statement: str  # without literals
    calls: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class LockWait:
    """Sessions that waited for a lock in the seconds before *time*, and who had it.

    *relation* is empty for locks of no table; statements are empty where they are not known. The
    blocking statement is the last one of its session, which may be idle in a transaction.
    """

    time: datetime
    relation: str
    statement: str
    blocking_statement: str
    blocking_state: str  # as in pg_stat_activity
    waiting: float  # mean number of sessions
    max_waiting: int


Rows = Sequence[DatabaseSample] | Sequence[DatabaseStatement] | Sequence[LockWait]
Span = tuple[datetime, datetime]
TABLES: Mapping[type, str] = {
    DatabaseSample: "database_sample",
    DatabaseStatement: "database_statement",
    LockWait: "database_lock_wait",
}


def store(connection: Connection, run_id: datetime, rows: Rows) -> None:
    """Store *rows* with a run."""
    if not rows:
        return
    kind = type(rows[0])
    names = ["run_id", *(field.name for field in fields(kind))]
    query = (
        f"INSERT INTO {TABLES[kind]} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
        " ON CONFLICT DO NOTHING"
    )
    for row in rows:
        connection.execute(query, [run_id, *(getattr(row, name) for name in names[1:])])


def samples(connection: Connection, run_id: datetime) -> list[DatabaseSample]:
    """Return the samples of a run in order."""
    columns = ", ".join(field.name for field in fields(DatabaseSample))
    query = f"SELECT {columns} FROM database_sample WHERE run_id = %s ORDER BY time"
    with connection.cursor(row_factory=class_row(DatabaseSample)) as cursor:
        return cursor.execute(query, [run_id]).fetchall()


def statements(
    connection: Connection, run_id: datetime, spans: Sequence[Span]
) -> list[DatabaseStatement]:
    """Return what took most of the database's time in spans of a run, the longest first."""
    query = (
        "SELECT max(time) AS time, statement, sum(calls)::bigint AS calls,"
        f" sum(rows)::bigint AS rows, sum(seconds) AS seconds FROM database_statement {IN_SPANS}"
        " GROUP BY statement ORDER BY sum(seconds) DESC, statement LIMIT %(most)s"
    )
    with connection.cursor(row_factory=class_row(DatabaseStatement)) as cursor:
        return cursor.execute(query, _values(run_id, spans, MAX_STATEMENTS)).fetchall()


def lock_waits(connection: Connection, run_id: datetime, spans: Sequence[Span]) -> list[LockWait]:
    """Return what was waited for most in spans of a run; means are of windows with waits."""
    query = (
        f"WITH found AS (SELECT * FROM database_lock_wait {IN_SPANS})"
        " SELECT max(time) AS time, relation, statement, blocking_statement, blocking_state,"
        " sum(waiting) / (SELECT count(DISTINCT time) FROM found) AS waiting,"
        " max(max_waiting) AS max_waiting FROM found"
        " GROUP BY relation, statement, blocking_statement, blocking_state"
        " ORDER BY sum(waiting) DESC LIMIT %(most)s"
    )
    with connection.cursor(row_factory=class_row(LockWait)) as cursor:
        return cursor.execute(query, _values(run_id, spans, MAX_LOCK_WAITS)).fetchall()


def _values(run_id: datetime, spans: Sequence[Span], most: int) -> dict[str, Any]:
    since, until = zip(*spans, strict=True) if spans else ((), ())
    return {"run": run_id, "since": list(since), "until": list(until), "most": most}


def named(connection: Connection, run_id: datetime, kind: str, spans: Sequence[Span]) -> list[str]:
    """Return which statements a resource of *kind* was busy with in spans of a run, in words.

    ``12 sessions waited in UPDATE stock SET …``; those of locks are what waited for them.
    """
    late = timedelta(seconds=WINDOW_S / 2)  # a window that ends by then was mostly in the span
    spans = [(since + late, until + late) for since, until in spans]
    if kind == "database_lock":
        waits = [one for one in lock_waits(connection, run_id, spans) if one.statement]
        return [_waited(one) for one in waits[:1]]
    if kind == "database":
        found = [one for one in statements(connection, run_id, spans) if one.statement]
        seconds = sum(one.seconds for one in found)
        return [
            f"{100 * one.seconds / seconds:.0f} % of its time went to {_short(one.statement)}"
            for one in found[:1]
            if seconds
        ]
    return []


def _waited(wait: LockWait) -> str:
    text = f"{wait.waiting:.0f} sessions waited in {_short(wait.statement)}"
    if wait.blocking_state.startswith("idle in transaction"):
        text += (
            f"; who had the lock was idle in a transaction, after {_short(wait.blocking_statement)}"
        )
    elif wait.blocking_statement not in ("", wait.statement):
        text += f"; {_short(wait.blocking_statement)} had the lock"
    return text


def _short(statement: str) -> str:
    return statement if len(statement) <= SHOWN else f"{statement[: SHOWN - 1].rstrip()}…"


def database_series(
    connection: Connection, run_id: datetime, axis: Axis
) -> dict[ResourceKey, Usage]:
    """Return the use of the app's database; nothing if it was not sampled.

    A point is the mean of the samples around it. Of `database`, used is CPU time by
    the server's processes where that is known, else the sessions that waited for nothing; waiting
    are sessions that got no core, or wait for a disk or an internal lock. Of `database_lock`,
    places are the rows and other objects that are usually contended at once.
    """
    found = samples(connection, run_id)
    if not found:
        return {}
    name = found[-1].database
    points = _points(found, axis)
    connections = Usage(
        [_mean(one.max_connections for one in group) for group in points],
        [_mean(one.connections for one in group) for group in points],
        [None] * axis.points,
    )
    return {
        ResourceKey("", "database", name): _cpu(found, axis),
        ResourceKey("", "database_lock", name): _locks(found, axis),
        ResourceKey("", "database_connections", name): connections,
    }


def _cpu(found: Sequence[DatabaseSample], axis: Axis) -> Usage:
    """Return the use of the server's cores."""
    rates = _cores_used(found)
    places: Points = []
    used: Points = []
    waiting: Points = []
    for group in _points(found, axis):
        on_cpu = _mean(one.on_cpu for one in group)
        stuck = _mean(_sum(one.io, one.lwlock) for one in group)
        computed = _mean(rates.get(one.time) for one in group) if rates else on_cpu
        places.append(_mean(one.cores for one in group))
        used.append(computed)
        if stuck is None or on_cpu is None or computed is None:
            waiting.append(None)
        else:
            waiting.append(stuck + max(0.0, on_cpu - computed))
    return Usage(places, used, waiting)


def _cores_used(found: Sequence[DatabaseSample]) -> dict[datetime, float]:
    """Return CPU seconds per second by the times of samples, which read them now and then."""
    rates: dict[datetime, float] = {}
    since: list[datetime] = []  # of the samples after *before*
    before: DatabaseSample | None = None
    for one in found:
        since.append(one.time)
        if one.cpu_s is None:
            continue
        if before and before.cpu_s is not None and one.cpu_s >= before.cpu_s:  # else it restarted
            rate = (one.cpu_s - before.cpu_s) / (one.time - before.time).total_seconds()
            rates.update(dict.fromkeys(since, rate))
        before, since = one, []
    return rates


def _locks(found: Sequence[DatabaseSample], axis: Axis) -> Usage:
    """Return the use of locks: one is in use, as far as can be seen, while a session waits for it.

    So its use is right where it matters, near 1, and too small where hardly any session waits.
    """
    contended = sorted(one.locks_contended for one in found if one.locks_contended)
    usual = contended[ceil(USUAL_SHARE * len(contended)) - 1] if contended else 1
    points = _points(found, axis)
    used = [_mean(_capped(one.locks_contended, usual) for one in group) for group in points]
    return Usage(
        [None if value is None else float(usual) for value in used],
        used,
        [_mean(one.lock for one in group) for group in points],
    )


def _points(found: Iterable[DatabaseSample], axis: Axis) -> list[list[DatabaseSample]]:
    """Return the samples of each point of *axis*: those within half a step of it."""
    since, step = datetime.fromtimestamp(axis.since_s, UTC), timedelta(seconds=axis.step_s)
    points: list[list[DatabaseSample]] = [[] for _ in range(axis.points)]
    for one in found:
        number = floor((one.time - since) / step + 0.5)
        if 0 <= number < axis.points:
            points[number].append(one)
    return points


def _capped(value: int | None, most: int) -> int | None:
    return None if value is None else min(value, most)


def _sum(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
