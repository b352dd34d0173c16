"""Stores every record but samples in the runs database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import singledispatch
from typing import Any
from uuid import UUID

from swarmscope.journal import records
from swarmscope.redaction import scrub_text
from swarmscope.runs.connection import Connection
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, decode
from swarmscope.shipper.sanitize import json_without_nul

MAX_PROFILE_S = 3_600.0  # far more than a process profiles itself at a time
_COLUMNS = {  # of `testrun`, where they are not named as in the record
    "run": "id",
    "profile": "profile_name",
    "users": "num_clients",
    "iterations_per_second": "rps",
    "environment": "env",
    "repository": "gitrepo",
    "version": "changeset_guid",
}


def utc(unix_s: float) -> datetime:
    """Return Unix seconds as a datetime; raises ValueError or OverflowError beyond the calendar."""
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except OSError as error:  # from the C library: an OSError would be retried for ever
        raise ValueError(f"{unix_s} is not a time") from error


@singledispatch
def apply(record: Any, connection: Connection, journal: UUID) -> None:
    """Store one record of *journal* within the transaction of its batch."""
    raise TypeError(f"{type(record).__name__} cannot be applied")


@apply.register
def _(record: records.RunStarted, connection: Connection, journal: UUID) -> None:
    if _leads(connection, record.run, journal):  # repeated by a journal that was resumed
        return
    row = {_COLUMNS.get(name, name): getattr(record, name) for name in record.__struct_fields__}
    row |= {
        "status": "running",
        "target_users": record.users,
        "peak_users": 0,
        "journal_id": journal,
        "versions": json.dumps(record.versions),
        "objective_quantile": None if record.objective_ms is None else records.OBJECTIVE_QUANTILE,
        "settings": json_without_nul(record.settings),
    }
    values = ", ".join(["%s"] * len(row))
    connection.execute(
        f"INSERT INTO testrun ({', '.join(row)}) VALUES ({values})", list(row.values())
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
        (utc(record.time), record.run, record.testplan, record.users),
    )
    _note_users(connection, record.run, record.users, record.target)


@apply.register
def _(record: records.GeneratorHealth, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "INSERT INTO generator_health (run_id, time, cpu_ratio, loop_lag_s, dispersion)"
        " VALUES (%s, %s, %s, %s, %s)",
        (
            record.run,
            utc(record.time),
            record.cpu_ratio,
            record.loop_lag_s,
            record.dispersion,
        ),
    )


@apply.register
def _(record: records.RampComplete, connection: Connection, journal: UUID) -> None:
    connection.execute(
        "UPDATE testrun SET ramp_up_complete = %s WHERE id = %s AND ramp_up_complete IS NULL",
        (utc(record.time), record.run),
    )
    _note_users(connection, record.run, record.users, record.users)
    text = f"{record.testplan} ramp-up complete, {record.users} users spawned"
    _event(connection, record.run, "ramp_up_complete", record.time, text)


@apply.register
def _(record: records.Event, connection: Connection, journal: UUID) -> None:
    _event(connection, record.run, record.kind, record.time, record.text, record.details)


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
        {"run": record.run, "ended": utc(record.time)},
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
        (record.run, record.worker, journal, utc(record.time)),
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
        (utc(record.time), record.run, record.worker),
    )
    if record.samples is not None:
        _count_missing(connection, record, record.samples)
    connection.execute(  # users may finish their tasks after the leader has stopped the run
        "UPDATE testrun SET end_time = greatest(end_time, %s)"
        " WHERE id = %s AND status = 'finished'",
        (utc(record.time), record.run),
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
        text = f"the journal of {record.worker} was removed: samples not yet delivered are lost"
        _event(connection, record.run, "samples_dropped", record.time, text)


@apply.register
def _(record: records.GeneratorProfile, connection: Connection, journal: UUID) -> None:
    if not 0 < record.seconds <= MAX_PROFILE_S:
        raise ValueError(f"a profile cannot be of {record.seconds} s")
    since, job = utc(record.time), storage.GENERATOR
    until = since + timedelta(seconds=record.seconds)
    profile = decode(CPU, record.seconds, record.stacks)
    known = connection.execute(
        "SELECT FROM profile WHERE (run_id, job, since, until) = (%s::timestamptz, %s, %s, %s)",
        (record.run, job, since, until),
    )
    if known.fetchone() is None:
        run = datetime.fromisoformat(record.run)
        storage.store(connection, run, job, since, until, profile)


@apply.register(records.Continued)
@apply.register(records.End)
def _(record: records.Record, connection: Connection, journal: UUID) -> None:
    pass  # for the reader of the file


def _count_missing(connection: Connection, record: records.WorkerStopped, samples: int) -> None:
    """Count as dropped those of a worker's *samples* that never reached the database."""
    found = connection.execute(
        "UPDATE run_worker w SET dropped = %(samples)s - w.samples FROM run_worker before"
        " WHERE w.run_id = %(run)s AND w.worker = %(worker)s"
        " AND before.run_id = w.run_id AND before.worker = w.worker"
        " AND %(samples)s > w.samples + w.dropped"
        " RETURNING w.dropped - before.dropped",
        {"samples": samples, "run": record.run, "worker": record.worker},
    ).fetchone()
    if found:
        text = f"{found[0]} samples of {record.worker} were lost with their journal"
        _event(connection, record.run, "samples_dropped", record.time, text)


def _leads(connection: Connection, run: str, journal: UUID) -> bool:
    found = connection.execute(
        "SELECT FROM testrun WHERE id = %s AND journal_id = %s", (run, journal)
    )
    return found.fetchone() is not None


def apply_death(connection: Connection, journal: UUID, worker: str, last_seen: float) -> list[str]:
    """Close what the dead writer of *journal* left open; return the runs that it took part in.

    *last_seen* is in Unix seconds by the clock of its machine.
    """
    lost = connection.execute(
        "UPDATE run_worker SET outcome = 'lost' WHERE journal_id = %s AND stopped IS NULL"
        " RETURNING run_id",
        (journal,),
    ).fetchall()
    led = connection.execute(
        "SELECT id, close_run(id, greatest(id, %s), 'aborted') FROM testrun"
        " WHERE journal_id = %s AND status = 'running'",
        (utc(last_seen), journal),
    ).fetchall()
    for run, *_ in led:
        text = "aborted: the process that led the run ended without closing it"
        _event(connection, run, "stopped", last_seen, text)
    for (run,) in lost:
        text = f"worker {worker} ended without its stop record"
        _event(connection, run, "worker_lost", last_seen, text)
    return [run for (run, *_) in [*lost, *led]]


def _set_outcome(connection: Connection, run: str, worker: str, outcome: str | None) -> None:
    """Set the outcome of a worker unless its own journal has said that it stopped."""
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


def _event(
    connection: Connection,
    run: Any,
    kind: str,
    unix_s: float,
    text: str,
    details: str | None = None,
) -> None:
    connection.execute(
        "INSERT INTO events (time, text, run_id, kind, details)"
        " SELECT event.* FROM (VALUES (%s::timestamptz, %s, %s::timestamptz, %s, %s::jsonb))"
        " AS event (time, text, run_id, kind, details)"
        " WHERE NOT EXISTS (SELECT FROM events e WHERE e.run_id = event.run_id"  # repeated
        " AND e.time = event.time AND e.kind = event.kind AND e.text = event.text)",
        (utc(unix_s), scrub_text(text), run, kind, json_without_nul(details) if details else None),
    )
