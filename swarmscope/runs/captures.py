"""The services' series of a run, stored in the runs database: Prometheus deletes its own."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import pairwise
from typing import TypeVar
from uuid import UUID

from psycopg.rows import class_row

from swarmscope.runs import prometheus
from swarmscope.runs.call_counts import CallCount, CallCounts, StatementCount
from swarmscope.runs.connection import Connection
from swarmscope.runs.counters import Level
from swarmscope.runs.prometheus import Axis
from swarmscope.runs.resources.database import database_series
from swarmscope.runs.resources.model import ResourceKey, RouteDemand, Usage
from swarmscope.runs.server_series import CallKey, Capture
from swarmscope.runs.services import Service, Targets

PROMETHEUS_RETENTION = "15 days"  # its default
COLUMNS = {
    "statement_count": [field.name for field in fields(StatementCount)],
    "call_count": [field.name for field in fields(CallCount)],
    "resource_demand": [field.name for field in fields(RouteDemand)],
}

Row = TypeVar("Row", StatementCount, CallCount, RouteDemand)


@dataclass(frozen=True)
class UncapturedRun:
    """A run that has no series stored; *ended* is None while it is running.

    *url* is the Prometheus that its options named, None where they named none; *host* is the
    machine of the process that led it, whose journal *journal_id* is.
    """

    run_id: datetime
    ended: datetime | None
    url: str | None
    host: str | None
    journal_id: UUID | None


def uncaptured(connection: Connection, running: bool = False) -> list[UncapturedRun]:
    """Return the runs that are over, or *running*, and have no series stored, latest first."""
    with connection.cursor(row_factory=class_row(UncapturedRun)) as cursor:
        return cursor.execute(
            "SELECT r.id AS run_id, r.end_time AS ended, r.prometheus_url AS url, j.host,"
            " r.journal_id FROM testrun r LEFT JOIN journal j ON j.id = r.journal_id"
            " WHERE (r.status = 'running') = %s AND (r.end_time IS NULL) = %s"
            " AND coalesce(r.end_time, r.id) > now() - %s::interval"
            " AND r.id NOT IN (SELECT run_id FROM server_capture) ORDER BY r.id DESC",
            [running, running, PROMETHEUS_RETENTION],
        ).fetchall()


def locate(url: str | None, host: str | None, known: str | None) -> str | None:
    """Return the Prometheus to ask about a run that named *url* on *host*; None if unknown.

    User info is not stored with a run: it comes from *known*, this process's own, if that is the
    same Prometheus.
    """
    if url is None or url == prometheus.without_user_info(known):
        return known
    is_elsewhere = prometheus.is_loopback(url) and host != socket.gethostname()
    return None if is_elsewhere else url


def prometheus_of(connection: Connection, run_id: datetime, known: str | None) -> str | None:
    """Return the Prometheus to ask about a run; see `locate`."""
    found = connection.execute(
        "SELECT r.prometheus_url, j.host FROM testrun r LEFT JOIN journal j ON j.id = r.journal_id"
        " WHERE r.id = %s",
        [run_id],
    )
    ((url, host),) = found.fetchall()
    return locate(url, host, known)


def targets(connection: Connection, run_id: datetime) -> Targets:
    """Return what a run says of its services."""
    found = connection.execute(
        "SELECT hosts, services, resources FROM testrun WHERE id = %s", [run_id]
    )
    ((hosts, names, resources),) = found.fetchall()
    services = [name.strip() for name in names.split(",") if name.strip()]
    return Targets(hosts.split(), services, resources)


def store_services(connection: Connection, run_id: datetime, found: Iterable[Service]) -> None:
    """Store which services are a run's, in place of those that were found before."""
    rows = [(run_id, service.name, n, service.role) for n, service in enumerate(found)]
    with connection.transaction():
        connection.execute("DELETE FROM run_service WHERE run_id = %s", [run_id])
        connection.cursor().executemany(
            "INSERT INTO run_service (run_id, job, number, role) VALUES (%s, %s, %s, %s)", rows
        )


def store(connection: Connection, run_id: datetime, capture: Capture) -> bool:
    """Store a run's series unless it has some; return whether they were stored now."""
    with connection.transaction():
        done = connection.execute(
            "INSERT INTO server_capture (run_id, since, step_s, counted) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [run_id, capture.since, capture.step_s, capture.counts is not None],
        ).rowcount
        if done:
            connection.cursor().executemany(
                "INSERT INTO server_series (run_id, job, name, points) VALUES (%s, %s, %s, %s)",
                [(run_id, *key, points) for key, points in capture.series.items()],
            )
            connection.cursor().executemany(
                "INSERT INTO server_call (run_id, job, host, service, name, points)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [
                    (run_id, key.job, key.host, capture.places.get(key.host), key.name, points)
                    for key, points in capture.calls.items()
                ],
            )
            store_services(connection, run_id, capture.services)
            store_resources(connection, run_id, capture.resources)
            _store_rows(connection, run_id, "resource_demand", capture.demands)
            if capture.counts is not None:
                _store_rows(connection, run_id, "statement_count", capture.counts.statements)
                _store_rows(connection, run_id, "call_count", capture.counts.calls)
    return bool(done)


def store_resources(
    connection: Connection, run_id: datetime, resources: Mapping[ResourceKey, Usage]
) -> None:
    """Store the usage of resources on the axis of a run's capture."""
    connection.cursor().executemany(
        "INSERT INTO resource_series (run_id, job, kind, detail, places, used, waiting)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            (run_id, key.job, key.kind, key.detail, usage.places, usage.used, usage.waiting)
            for key, usage in resources.items()
        ],
    )


def _resources(connection: Connection, run_id: datetime) -> dict[ResourceKey, Usage]:
    rows = connection.execute(
        "SELECT job, kind, detail, places, used, waiting FROM resource_series WHERE run_id = %s"
        " ORDER BY job, kind, detail",
        [run_id],
    )
    return {
        ResourceKey(job, kind, detail): Usage(places, used, waiting)
        for job, kind, detail, places, used, waiting in rows
    }


def _store_rows(
    connection: Connection, run_id: datetime, table: str, rows: Iterable[object]
) -> None:
    names = COLUMNS[table]
    places = ", ".join(["%s"] * (len(names) + 1))
    connection.cursor().executemany(
        f"INSERT INTO {table} (run_id, {', '.join(names)}) VALUES ({places})",
        [(run_id, *(getattr(row, name) for name in names)) for row in rows],
    )


def _counts(connection: Connection, run_id: datetime) -> CallCounts:
    return CallCounts(
        _rows(connection, "statement_count", StatementCount, run_id, "seconds"),
        _rows(connection, "call_count", CallCount, run_id, "seconds"),
    )


def _rows(
    connection: Connection, table: str, kind: type[Row], run_id: datetime, most: str
) -> list[Row]:
    columns = ", ".join(COLUMNS[table])
    query = f"SELECT {columns} FROM {table} WHERE run_id = %s ORDER BY level, {most} DESC"
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, [run_id]).fetchall()


def levels(connection: Connection, run_id: datetime, ended: datetime) -> list[Level]:
    """Return the spans in which the shape of a run held one level, in order.

    Those of a capacity search are what it measured, without warm-ups.
    """
    found = connection.execute(
        "SELECT time - make_interval(secs => (details->>'measured_s')::float), time FROM events"
        " WHERE run_id = %s AND kind = 'level' AND details ? 'measured_s' ORDER BY time",
        [run_id],
    ).fetchall()
    if not found:
        stages = connection.execute(
            "SELECT time FROM events WHERE run_id = %s AND kind = 'stage' ORDER BY time", [run_id]
        )
        found = list(pairwise([*(time for (time,) in stages), ended]))
    return [Level(number, *span) for number, span in enumerate(found, 1)]


def stored(connection: Connection, run_id: datetime) -> Capture | None:
    """Return a run's series; None when they were never stored."""
    found = connection.execute(
        "SELECT since, step_s, counted FROM server_capture WHERE run_id = %s", [run_id]
    ).fetchone()
    if found is None:
        return None
    rows = connection.execute(
        "SELECT job, name, points FROM server_series WHERE run_id = %s ORDER BY job, name", [run_id]
    )
    series = {(job, name): points for job, name, points in rows}
    services = connection.execute(
        "SELECT job, role FROM run_service WHERE run_id = %s ORDER BY number", [run_id]
    )
    kept = tuple(Service(job, role) for job, role in services)
    calls = connection.execute(
        "SELECT job, host, name, service, points FROM server_call WHERE run_id = %s"
        " ORDER BY job, host, name",
        [run_id],
    ).fetchall()
    since, step_s, is_counted = found
    return Capture(
        since,
        step_s,
        series,
        kept,
        {CallKey(job, host, name): points for job, host, name, _, points in calls},
        {host: service for _, host, _, service, _ in calls},
        _counts(connection, run_id) if is_counted else None,
        _resources(connection, run_id),
        _rows(connection, "resource_demand", RouteDemand, run_id, "held_s"),
    )


def with_database(
    connection: Connection, run_id: datetime, capture: Capture, until: datetime
) -> Capture:
    """Return *capture* with what was sampled of the app's database up to *until*."""
    points = int((until - capture.since).total_seconds() // capture.step_s) + 1
    axis = Axis(capture.since.timestamp(), round(capture.step_s), points)
    sampled = database_series(connection, run_id, axis)
    return replace(capture, resources={**capture.resources, **sampled})
