"""Runs put straight into a database, so that a test knows every request of them."""

from __future__ import annotations

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from swarmscope.runs import histogram

HOSTILE = "\x1b[31m/red\x1b[0m\r\n[bold]:bomb: \u202etxt.\x07" + "x" * 60
START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """A request that finished *at_s* seconds after its run's start; *ms* None: it has no time."""

    at_s: float
    ms: float | None
    name: str = "/tests"
    method: str = "GET"
    failed: bool = False
    worker: str = "worker-1"
    parts: dict[str, float] = field(default_factory=dict)  # queue, app, outside


def store_run(
    connection: psycopg.Connection[Any],
    samples: Sequence[Sample],
    start: datetime = START,
    ramp_s: float | None = None,
    lasted_s: float | None = 60,
    testplan: str = "classic.py",
) -> datetime:
    """Store a run, its rows and its histograms as shippers do; return its id."""
    ended = None if lasted_s is None else start + timedelta(seconds=lasted_s)
    connection.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env, status, end_time, ramp_up_complete,"
        " target_users, peak_users) VALUES (%s, %s, 10, 'test', %s, %s, %s, 10, 10)",
        [
            start,
            testplan,
            "finished" if ended else "running",
            ended,
            None if ramp_s is None else start + timedelta(seconds=ramp_s),
        ],
    )
    journals = {worker: uuid.uuid4() for worker in sorted({s.worker for s in samples})}
    for worker, journal in journals.items():
        connection.execute(
            "INSERT INTO run_worker (run_id, worker, journal_id, started, stopped, outcome)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [start, worker, journal, start, ended, "stopped" if ended else None],
        )
        _store_requests(connection, start, testplan, [s for s in samples if s.worker == worker])
        _store_windows(connection, start, journal, [s for s in samples if s.worker == worker])
    return start


def _store_requests(
    connection: psycopg.Connection[Any], run: datetime, testplan: str, samples: Sequence[Sample]
) -> None:
    with connection.cursor().copy(
        "COPY request (time, run_id, greenlet_id, loadgen, name, request_type, response_time,"
        " success, testplan, exception, queue_ms, service_ms, cpu_ms, db_ms, pool_ms, http_ms,"
        " cache_ms, db_calls, http_calls, cache_calls) FROM STDIN"
    ) as copy:
        for s in samples:
            started = run + timedelta(seconds=s.at_s, milliseconds=-(s.ms or 0))
            row = [started, run, 1, s.worker, s.name, s.method, s.ms, int(not s.failed), testplan]
            error = "it failed" if s.failed else None
            parts = [s.parts.get(part) for part in ("queue", "service")]
            copy.write_row([*row, error, *parts, *_components(s.parts)])


def _components(parts: dict[str, float]) -> list[float | None]:
    """Return the values of the columns: where components were measured, 0 for what is missing."""
    default = 0 if "cpu" in parts else None
    timed = [parts.get(part, default) for part in ("cpu", "db", "pool", "http", "cache")]
    called = [parts.get(calls, default) for calls in histogram.CALLS]
    return [*timed, *(None if number is None else int(number) for number in called)]


def _store_windows(
    connection: psycopg.Connection[Any],
    run: datetime,
    journal: uuid.UUID,
    samples: Sequence[Sample],
) -> None:
    windows: dict[tuple[Any, ...], list[Sample]] = defaultdict(list)
    for s in samples:
        second = math.floor((run + timedelta(seconds=s.at_s)).timestamp())
        for part in {"response": s.ms} | s.parts:
            for resolution in histogram.RESOLUTIONS_S:
                at = datetime.fromtimestamp(second - second % resolution, UTC)
                windows[resolution, at, s.name, s.method, part].append(s)
                windows[resolution, at, "", "", part].append(s)
    last = max(at for resolution, at, *_ in windows if resolution == 1)
    rows: dict[str, list[list[Any]]] = {"histogram_open": [], "histogram_closed": []}
    for (resolution, at, name, method, part), inside in windows.items():
        parts = [s.ms if part == "response" else s.parts[part] for s in inside]
        values = [ms for ms in parts if ms is not None]
        counts = sorted(Counter(map(histogram.bucket, values)).items())
        buckets, numbers = [b for b, _ in counts], [n for _, n in counts]
        failures = sum(s.failed for s in inside)
        key = [run, resolution, at, name, method, part, journal]
        figures = [len(parts), failures, sum(values), max(values, default=0), buckets, numbers]
        still_open = at + timedelta(seconds=resolution) > last
        rows["histogram_open" if still_open else "histogram_closed"].append(key + figures)
    for table, its_rows in rows.items():
        with connection.cursor().copy(
            f"COPY {table} (run_id, resolution, time, name, request_type, part, journal_id, count,"
            " failures, sum_ms, max_ms, buckets, counts) FROM STDIN"
        ) as copy:
            for row in its_rows:
                copy.write_row(row)
