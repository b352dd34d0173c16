"""The services' series of a run, stored in the runs database: Prometheus deletes its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from swarmscope.runs.connection import Connection
from swarmscope.runs.server_series import Capture

PROMETHEUS_RETENTION = "15 days"  # its default


@dataclass(frozen=True)
class UncapturedRun:
    """A run that is over and has no series stored.

    *url* is the Prometheus that its options named, None where they named none; *host* is the
    machine of the process that led it.
    """

    run_id: datetime
    ended: datetime
    url: str | None
    host: str | None


def uncaptured(connection: Connection) -> list[UncapturedRun]:
    """Return the runs that are over and have no series stored, latest first."""
    with connection.cursor(row_factory=class_row(UncapturedRun)) as cursor:
        return cursor.execute(
            "SELECT r.id AS run_id, r.end_time AS ended, r.prometheus_url AS url, j.host"
            " FROM testrun r LEFT JOIN journal j ON j.id = r.journal_id"
            " WHERE r.status <> 'running' AND r.end_time IS NOT NULL"
            " AND r.end_time > now() - %s::interval"
            " AND r.id NOT IN (SELECT run_id FROM server_capture) ORDER BY r.id DESC",
            [PROMETHEUS_RETENTION],
        ).fetchall()


def store(connection: Connection, run_id: datetime, capture: Capture) -> bool:
    """Store a run's series unless it has some; return whether they were stored now."""
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
