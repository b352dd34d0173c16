"""What each record other than samples does to the runs database, in the order of the journal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

import psycopg

from swarmscope.journal import records
from swarmscope.redaction import scrub_text
from swarmscope.shipper.sanitize import plain_json

Connection = psycopg.Connection[Any]


def moment(unix_s: float) -> datetime:
    """Return *unix_s* as PostgreSQL wants it; raises ValueError or OverflowError for no time."""
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except OSError as error:  # of the C library; to try the record again would change nothing
        raise ValueError(f"{unix_s} is no time") from error


@singledispatch
def apply(record: Any, connection: Connection, journal: UUID) -> None:
    """Carry out one record of *journal* within the transaction of its batch."""
    raise TypeError(f"{type(record).__name__} is not carried out on its own")


@apply.register
def _(record: records.RunStarted, connection: Connection, journal: UUID) -> None:
    if _leads(connection, record.run, journal):  # said again, by a journal that was resumed
        return
    connection.execute(
        "INSERT INTO testrun (id, testplan, profile_name, num_clients, rps, description, env,"
        " username, gitrepo, changeset_guid, arguments, status, target_users, peak_users, host,"
        " scenario, journal_id, versions, grafana_url, objective_quantile, objective_ms,"
        " objective_fail_ratio, capacity_search, settings, prometheus_url) VALUES"
        " (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'running', %s, 0, %s, %s, %s, %s, %s,"
        " %s, %s, %s, %s, %s, %s)",
        (
            record.run,
            record.testplan,
            record.profile,
            record.users,
            record.iterations_per_second,
            record.description,
            record.environment,
            record.username,
            record.repository,
            record.version,
            record.arguments,
            record.users,
            record.host,
            record.scenario,
            journal,
            json.dumps(record.versions),
            record.grafana_url,
            None if record.objective_ms is None else records.OBJECTIVE_QUANTILE,
            record.objective_ms,
            record.objective_fail_ratio,
            record.capacity_search,
            plain_json(record.settings),
            record.prometheus_url,
        ),
    )
    text = f"{record.testplan} started by {record.username}: {record.users} users"
    _event(connection, record.run, "started", records.start_of(record.run), text)


@apply.register
def _(record: records.Participant, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "INSERT INTO run_worker (run_id, worker) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (record.run, record.worker),
    )


@apply.register
def _(record: records.UserCount, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "INSERT INTO user_count (time, run_id, testplan, user_count) VALUES (%s, %s, %s, %s)",
        (moment(record.time), record.run, record.testplan, record.users),
    )
    _note_users(connection, record.run, record.users, record.target)


@apply.register
def _(record: records.GeneratorHealth, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "INSERT INTO generator_health (run_id, time, cpu_ratio, loop_lag_s, dispersion)"
        " VALUES (%s, %s, %s, %s, %s)",
        (
            record.run,
            moment(record.time),
            record.cpu_ratio,
            record.loop_lag_s,
            record.dispersion,
        ),
    )


@apply.register
def _(record: records.RampComplete, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "UPDATE testrun SET ramp_complete = %s WHERE id = %s AND ramp_complete IS NULL",
        (moment(record.time), record.run),
    )
    _note_users(connection, record.run, record.users, record.users)
    text = f"{record.testplan} rampup complete, {record.users} users spawned"
    _event(connection, record.run, "ramp_complete", record.time, text)


@apply.register
def _(record: records.Event, connection: Connection, journal: UUID) -> None:
    time, details = moment(record.time), record.details
    _insert_event(connection, record.run, record.kind, time, record.text, details)


@apply.register
def _(record: records.WorkerLost, connection: Connection, journal: UUID) -> None:
    _set_outcome(connection, record.run, record.worker, "lost")
    text = f"worker {record.worker} is {record.state}"
    _event(connection, record.run, "worker_lost", record.time, text)


@apply.register
def _(record: records.WorkerBack, connection: Connection, journal: UUID) -> None:
    _set_outcome(connection, record.run, record.worker, None)
    _event(connection, record.run, "note", record.time, f"worker {record.worker} is back")


@apply.register
def _(record: records.RunStopped, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "SELECT close_run(%(run)s, greatest(%(run)s, %(ended)s,"
        " (SELECT max(stopped) FROM run_worker WHERE run_id = %(run)s)))",
        {"run": record.run, "ended": moment(record.time)},
    )
    _event(connection, record.run, "stopped", record.time, f"{record.testplan} finished")


@apply.register
def _(record: records.RunExit, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "UPDATE testrun SET exit_code = %s WHERE id = %s", (record.exit_code, record.run)
    )


@apply.register
def _(record: records.WorkerStarted, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "INSERT INTO run_worker (run_id, worker, journal_id, started) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (run_id, worker) DO UPDATE SET journal_id = excluded.journal_id,"
        " started = coalesce(run_worker.started, excluded.started), stopped = NULL, outcome = NULL",
        (record.run, record.worker, journal, moment(record.time)),
    )


@apply.register
def _(record: records.ClockOffset, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "UPDATE run_worker SET clock_offset_s = %s WHERE run_id = %s AND worker = %s",
        (record.offset_s, record.run, record.worker),
    )


@apply.register
def _(record: records.Dropped, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "INSERT INTO run_worker (run_id, worker, dropped) VALUES (%s, %s, %s)"
        " ON CONFLICT (run_id, worker) DO UPDATE SET"
        " dropped = run_worker.dropped + excluded.dropped",
        (record.run, record.worker, record.count),
    )
    text = f"{record.count} samples of {record.worker} were dropped: {record.reason}"
    _event(connection, record.run, "samples_dropped", record.time, text)


@apply.register
def _(record: records.TaskErrors, connection: Connection, journal: UUID) -> None:
    for error, count in record.errors:
        connection.execute(
            "INSERT INTO task_error (run_id, worker, error, count) VALUES (%s, %s, %s, %s)",
            (record.run, record.worker, scrub_text(error), count),
        )


@apply.register
def _(record: records.WorkerStopped, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "UPDATE run_worker SET stopped = %s, outcome = 'stopped' WHERE run_id = %s AND worker = %s",
        (moment(record.time), record.run, record.worker),
    )
    if record.samples is not None:
        _count_missing(connection, record, record.samples)
    connection.execute(  # users may finish their tasks after the leader has called it a day
        "UPDATE testrun SET end_time = greatest(end_time, %s)"
        " WHERE id = %s AND status = 'finished'",
        (moment(record.time), record.run),
    )


@apply.register
def _(record: records.Resumed, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "UPDATE run_worker SET journal_id = %s WHERE journal_id = %s AND stopped IS NULL",
        (journal, record.journal),
    )
    connection.execute(
        "UPDATE testrun SET journal_id = %s WHERE journal_id = %s AND status = 'running'",
        (journal, record.journal),
    )
    if record.run:
        text = f"the journal of {record.worker} was removed: what it held and nobody had is lost"
        _event(connection, record.run, "samples_dropped", record.time, text)


@apply.register(records.Continued)
@apply.register(records.End)
def _(record: records.Record, connection: Connection, journal: UUID) -> None:
    pass  # they speak to the reader of the file


def _count_missing(connection: Connection, record: records.WorkerStopped, samples: int) -> None:
    """Count as dropped what a worker wrote of a run's *samples*, and nobody could read."""
    found = connection.execute(
        "UPDATE run_worker w SET dropped = %(samples)s - w.samples FROM run_worker before"
        " WHERE w.run_id = %(run)s AND w.worker = %(worker)s"
        " AND before.run_id = w.run_id AND before.worker = w.worker"
        " AND %(samples)s > w.samples + w.dropped"
        " RETURNING w.dropped - before.dropped",
        {"samples": samples, "run": record.run, "worker": record.worker},
    ).fetchone()
    if found:
        text = f"{found[0]} samples of {record.worker} were lost with what held them"
        _event(connection, record.run, "samples_dropped", record.time, text)


def _leads(connection: Connection, run: str, journal: UUID) -> bool:
    found = connection.execute(
        "SELECT FROM testrun WHERE id = %s AND journal_id = %s", (run, journal)
    )
    return found.fetchone() is not None


def bury(connection: Connection, journal: UUID, worker: str, last_seen: datetime) -> list[str]:
    """Say of a process that died what it can say no more; return the runs that this touched.

    *last_seen* is by the clock of its machine.
    """
    lost = connection.execute(
        "UPDATE run_worker SET outcome = 'lost' WHERE journal_id = %s AND stopped IS NULL"
        " RETURNING run_id",
        (journal,),
    ).fetchall()
    led = connection.execute(
        "SELECT id, close_run(id, greatest(id, %s), 'aborted') FROM testrun"
        " WHERE journal_id = %s AND status = 'running'",
        (last_seen, journal),
    ).fetchall()
    for run, *_ in led:
        text = "aborted: the process that led the run ended without closing it"
        _insert_event(connection, run, "stopped", last_seen, text)
    for (run,) in lost:
        text = f"worker {worker} ended without its stop record"
        _insert_event(connection, run, "worker_lost", last_seen, text)
    return [run for (run, *_) in [*lost, *led]]


def _set_outcome(connection: Connection, run: str, worker: str, outcome: str | None) -> None:
    """Say what became of a worker whose own journal has not told yet."""
    connection.execute(
        "UPDATE run_worker SET outcome = %s WHERE run_id = %s AND worker = %s AND stopped IS NULL",
        (outcome, run, worker),
    )


def _note_users(connection: Connection, run: str, users: int, target: int) -> None:
    connection.execute(
        "UPDATE testrun SET peak_users = greatest(peak_users, %(users)s),"
        " target_users = greatest(target_users, %(target)s),"
        " num_clients = greatest(num_clients, %(target)s) WHERE id = %(run)s"
        " AND (peak_users < %(users)s OR target_users < %(target)s)",
        {"run": run, "users": users, "target": target},
    )


def _event(connection: Connection, run: str, kind: str, unix_s: float, text: str) -> None:
    _insert_event(connection, run, kind, moment(unix_s), text)


def _insert_event(
    connection: Connection,
    run: Any,
    kind: str,
    time: datetime,
    text: str,
    details: str | None = None,
) -> None:
    connection.execute(
        "INSERT INTO events (time, text, run_id, kind, details)"
        " SELECT event.* FROM (VALUES (%s::timestamptz, %s, %s::timestamptz, %s, %s::jsonb))"
        " AS event (time, text, run_id, kind, details)"
        " WHERE NOT EXISTS (SELECT FROM events e WHERE e.run_id = event.run_id"  # said again
        " AND e.time = event.time AND e.kind = event.kind AND e.text = event.text)",
        (time, scrub_text(text), run, kind, plain_json(details) if details else None),
    )
