"""Prometheus's series of a run, kept in the runs database: Prometheus itself forgets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from swarmscope.runs.prometheus import Capture

Connection = psycopg.Connection[Any]

MOST_WANTING = 20
REMEMBERED = "15 days"  # how long Prometheus keeps samples unless told otherwise


def wanting(connection: Connection) -> list[tuple[datetime, datetime]]:
    """Return start and end of the latest runs that are over and have no series stored."""
    return connection.execute(
        "SELECT id, end_time FROM testrun WHERE status <> 'running' AND end_time IS NOT NULL"
        " AND end_time > now() - %s::interval AND id NOT IN (SELECT run_id FROM server_capture)"
        " ORDER BY id DESC LIMIT %s",
        [REMEMBERED, MOST_WANTING],
    ).fetchall()


def store(connection: Connection, run_id: datetime, capture: Capture) -> bool:
    """Store a run's series, unless it has some; tell whether it was done now."""
    with connection.transaction():
        done = connection.execute(
            "INSERT INTO server_capture (run_id, since, step_s) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [run_id, capture.since, capture.step_s],
        ).rowcount
        if done:
            connection.cursor().executemany(
                "INSERT INTO server_series (run_id, job, name, points) VALUES (%s, %s, %s, %s)",
                [(run_id, *key, points) for key, points in capture.series.items()],
            )
    return bool(done)


def stored(connection: Connection, run_id: datetime) -> Capture | None:
    """Return a run's series; None when they were never stored."""
    found = connection.execute(
        "SELECT since, step_s FROM server_capture WHERE run_id = %s", [run_id]
    ).fetchone()
    if found is None:
        return None
    rows = connection.execute(
        "SELECT job, name, points FROM server_series WHERE run_id = %s ORDER BY job, name", [run_id]
    )
    since, step_s = found
    return Capture(since, step_s, {(job, name): points for job, name, points in rows})
