"""Profiles in the runs database: stored as they are taken, joined into levels and windows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor
from typing import Any

from swarmscope.runs.connection import Connection
from swarmscope.runs.counters import Level
from swarmscope.runs.profiles.model import Profile, decode, encode, merged

GENERATOR = "locust"  # the job of the load generator's own profiles
Span = tuple[datetime, datetime]
_IN_SPAN = "since + (until - since) / 2 >= %s AND since + (until - since) / 2 < %s"


@dataclass(frozen=True)
class Window:
    """A span of a run in which a process was profiled, by its middle at one *level* or at none."""

    job: str
    kind: str
    since: datetime
    until: datetime
    seconds: float  # of these, sampled
    level: int | None

    @property
    def middle(self) -> datetime:
        """The moment by which it belongs to a span."""
        return self.since + (self.until - self.since) / 2


def store(
    connection: Connection,
    run_id: datetime,
    job: str,
    since: datetime,
    until: datetime,
    profile: Profile,
    level: int | None = None,
) -> None:
    """Store a profile of [since, until], at most 500 stacks of it."""
    stacks = encode(profile.folded())
    connection.execute(
        "INSERT INTO profile (run_id, job, kind, since, until, seconds, level, stacks)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [run_id, job, profile.kind, since, until, profile.seconds, level, stacks],
    )


def windows(connection: Connection, run_id: datetime) -> list[Window]:
    """Return the windows that are stored of a run, in order."""
    rows = connection.execute(
        "SELECT job, kind, since, until, seconds, level FROM profile WHERE run_id = %s"
        " ORDER BY since, kind, job",
        [run_id],
    )
    return [Window(*row) for row in rows]


def profiles(connection: Connection, run_id: datetime) -> list[tuple[Window, Profile]]:
    """Return the windows of a run with what was sampled in each, in order."""
    rows = connection.execute(
        "SELECT job, kind, since, until, seconds, level, stacks FROM profile WHERE run_id = %s"
        " ORDER BY since, kind, job",
        [run_id],
    )
    found = [(Window(*row), stacks) for *row, stacks in rows]
    return [(one, decode(one.kind, one.seconds, stacks)) for one, stacks in found]


def jobs(connection: Connection, run_id: datetime, kind: str) -> list[str]:
    """Return the jobs that have profiles of *kind*: the run's services in their order, then others.

    The load generator comes last.
    """
    rows = connection.execute(
        "SELECT p.job FROM profile p LEFT JOIN run_service s USING (run_id, job)"
        " WHERE run_id = %s AND kind = %s GROUP BY p.job"
        " ORDER BY p.job = %s, min(s.number), p.job",
        [run_id, kind, GENERATOR],
    )
    return [job for (job,) in rows]


def read(
    connection: Connection,
    run_id: datetime,
    kind: str,
    job: str,
    spans: Sequence[Span] | None = None,
) -> Profile:
    """Return the sum of a job's windows whose middles are in one of *spans*, by default all.

    Without any, it has no seconds and no stacks.
    """
    rows: list[tuple[Any, ...]] = []
    for span in [None] if spans is None else spans:
        rows += connection.execute(
            "SELECT seconds, stacks FROM profile WHERE run_id = %s AND kind = %s AND job = %s"
            + (f" AND {_IN_SPAN}" if span else ""),
            [run_id, kind, job, *(span or ())],
        ).fetchall()
    return merged((decode(kind, seconds, stacks) for seconds, stacks in rows), kind)


def join_levels(connection: Connection, run_id: datetime, levels: Sequence[Level]) -> None:
    """Join the windows of each of *levels*, which are over, into one per job and kind."""
    for level in levels:
        _join(connection, run_id, (level.since, level.until), level.number)


def join_windows(connection: Connection, run_id: datetime, span: Span, width_s: float) -> None:
    """Join the windows in *span* that belong to no level into ones of *width_s*, from its start."""
    first, end = span
    found = Counter(
        (floor((window.middle - first).total_seconds() / width_s), window.job, window.kind)
        for window in windows(connection, run_id)
        if window.level is None and first <= window.middle < end
    )
    width = timedelta(seconds=width_s)
    for number in sorted({number for (number, *_), count in found.items() if count > 1}):
        since = first + number * width
        _join(connection, run_id, (since, min(since + width, end)), None)


def _join(connection: Connection, run_id: datetime, span: Span, level: int | None) -> None:
    """Replace the windows without a level in *span* by one of each job and kind."""
    with connection.transaction():
        rows = connection.execute(
            "DELETE FROM profile WHERE run_id = %s AND level IS NULL AND"
            f" {_IN_SPAN} RETURNING job, kind, since, until, seconds, stacks",
            [run_id, *span],
        ).fetchall()
        found = defaultdict(list)
        for job, kind, *rest in rows:
            found[job, kind].append(rest)
        for (job, kind), parts in found.items():
            since, until = min(part[0] for part in parts), max(part[1] for part in parts)
            whole = merged(decode(kind, seconds, stacks) for _, _, seconds, stacks in parts)
            store(connection, run_id, job, since, until, whole, level)
