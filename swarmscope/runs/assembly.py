"""Makes a run's document from the runs database, and from Prometheus while it is to be had."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from swarmscope.home import dashboard_of_run
from swarmscope.runs import captures, document, queries, server_series
from swarmscope.runs.document import MOST_ERRORS, MOST_EVENTS, MOST_POINTS, Document
from swarmscope.runs.histogram import PARTS
from swarmscope.runs.model import AFTER_RAMP_UP, Run, Summary

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]
Row = Mapping[str, Any]
Span = tuple[datetime, datetime, int]  # from, until, and the width of a point in seconds
Services = Callable[[datetime, datetime | None], server_series.Capture | None]  # by start and end

LATE = timedelta(minutes=10)  # what users finish so long after the end of their run is drawn too
SETTLED_S = 30.0  # by then a second's samples are in the database, unless that was away
SPARE_POINTS = 10  # for that, and for a first point that begins before the run
DIGITS = 5  # of a curve's values; histograms are exact to 2.5 %


def ask_prometheus(url: str | None) -> Services | None:
    """Return what asks the Prometheus at *url*, if there is one; it leaves out what it cannot get.

    A run without an end is asked for up to now.
    """

    def ask(started: datetime, ended: datetime | None) -> server_series.Capture | None:
        assert url is not None
        try:
            return server_series.read(url, started, ended or datetime.now(UTC))
        except server_series.Unavailable as error:
            logger.info("No figures of the services: %s", error)
            return None

    return None if url is None else ask


def assemble(
    connection: Connection,
    run_id: datetime,
    whole: bool = False,
    services: Services | None = None,
    known: document.Points | None = None,
) -> Document:
    """Return a run's document, with figures after ramp-up or of the *whole* run.

    All of it is of one moment of the database. The services' own series are those that were stored
    when the run was over, else what *services* knows now (`ask_prometheus`). While the run is on,
    what its curves were `SETTLED_S` ago is taken from *known*, an earlier document's, at a fraction
    of the cost. Raises `queries.NoSuchRun`.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        made = _assemble(connection, run_id, whole, known)
        capture = captures.stored(connection, run_id)
    if capture is None and services is not None:
        capture = services(made.run.started, made.run.ended)
    return dataclasses.replace(made, server=_server(made.run.started, capture))


def _assemble(
    connection: Connection, run_id: datetime, whole: bool, known: document.Points | None
) -> Document:
    run, row = queries.by_id(connection, run_id), _row(connection, run_id)
    rows = queries.summary(connection, run_id, whole)
    endpoints = [_endpoint(list(group)) for _, group in groupby(rows, _endpoint_of)]
    totals = next((e for e in endpoints if (e.name, e.request_type) == ("", "")), None)
    left_out = next((r.left_out for r in rows if _endpoint_of(r) == ("", "")), 0)
    return Document(
        version=document.VERSION,
        run=_facts(run, row),
        completeness=_completeness(run),
        objective=_objective(run, totals, left_out),
        verdict=_verdict(connection, run_id),
        trust=trust(connection, run_id),
        whole=whole if not rows else rows[0].scope != AFTER_RAMP_UP,
        since_s=max(0.0, _seconds(run_id, rows[0].since)) if rows else None,
        until_s=_seconds(run_id, rows[0].until) if rows else None,
        scope=rows[0].scope if rows else None,
        scope_text=rows[0].scope_text if rows else "",
        totals=totals,
        endpoints=[endpoint for endpoint in endpoints if endpoint is not totals],
        points=_continued(connection, run, known),
        errors=_errors(connection, run_id),
        events=_events(connection, run_id),
        generator=_generator(connection, run),
        server=None,
        grafana_url=_grafana_url(run, row["grafana_url"]),
        task_errors=_task_errors(connection, run_id),
        levels=levels(connection, run_id),
    )


def _row(connection: Connection, run_id: datetime) -> Row:
    """Return what the view `run` does not have of a run."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            "SELECT changeset_guid, gitrepo, arguments, settings, exit_code, grafana_url,"
            " coalesce(versions, '{}') AS versions FROM testrun WHERE id = %s",
            [run_id],
        )
        return found.fetchall()[0]


def _facts(run: Run, row: Row) -> document.Facts:
    return document.Facts(
        id=run.run,
        testplan=run.testplan,
        scenario=run.scenario,
        profile=run.profile_name,
        description=run.description,
        environment=run.env,
        test_version=row["changeset_guid"],
        host=run.host,
        username=run.username,
        repository=row["gitrepo"],
        arguments=row["arguments"],
        settings=row["settings"],
        versions=row["versions"],
        status=run.status,
        exit_code=row["exit_code"],
        started=run.started,
        ramp_complete=run.ramp_complete,
        ended=run.ended,
        duration_s=run.duration_s,
        target_users=run.target_users,
        peak_users=run.peak_users,
    )


def _completeness(run: Run) -> document.Completeness:
    return document.Completeness(
        complete=run.complete,
        workers=run.workers,
        unfinished_workers=run.unfinished_workers,
        lost_workers=run.lost_workers,
        dropped=run.dropped,
        implausible=run.implausible,
        corrected=run.corrected,
        after_stop=run.after_stop,
    )


def _objective(run: Run, totals: document.Endpoint | None, left_out: int) -> document.Objective:
    met = totals.objective_met if totals else None
    return document.Objective(
        quantile=run.objective_quantile,
        limit_ms=run.objective_ms,
        fail_ratio=run.objective_fail_ratio,
        met=met,
        reason=queries.why_not_judged(run, totals.requests, left_out)
        if totals and met is None
        else "",
    )


def _verdict(connection: Connection, run_id: datetime) -> document.Verdict | None:
    found = queries.verdict(connection, run_id)
    return document.Verdict(text=found.text, details=found.details) if found else None


def trust(connection: Connection, run_id: datetime) -> document.Trust | None:
    """Return whether a run's latencies can be believed; None where nobody measured."""
    found = queries.trust(connection, run_id)
    if found is None:
        return None
    trusted = not (found.details.get("saturated") or found.details.get("bursty"))
    return document.Trust(trusted=trusted, text=found.text, details=found.details)


def levels(connection: Connection, run_id: datetime) -> list[document.Level]:
    """Return what each level of a search for the capacity did, in order; none for other runs."""
    rows = connection.execute(
        "SELECT time, details FROM events WHERE run_id = %s AND kind = 'level' ORDER BY time",
        [run_id],
    )
    return [
        msgspec.convert({"t_s": _seconds(run_id, time), **details}, document.Level)
        for time, details in rows
        if details
    ]


def _endpoint_of(row: Summary) -> tuple[str, str]:
    return row.name, row.request_type


def _endpoint(rows: Sequence[Summary]) -> document.Endpoint:
    """Return one endpoint's figures from its rows, one for each part."""
    parts = {row.part: row for row in rows}
    total = parts["total"]
    return document.Endpoint(
        name=total.name,
        request_type=total.request_type,
        requests=total.requests,
        failures=total.failures,
        fail_ratio=total.fail_ratio,
        requests_per_s=total.requests_per_s,
        objective_met=total.objective_met,
        total=_latency(total),
        app=_latency(parts["app"]) if "app" in parts else None,
        queue=_latency(parts["queue"]) if "queue" in parts else None,
        outside=_latency(parts["outside"]) if "outside" in parts else None,
        raw=_latency(parts["raw"]) if "raw" in parts else None,
        receiving=_latency(parts["receiving"]) if "receiving" in parts else None,
    )


def _latency(row: Summary) -> document.Latency:
    return document.Latency(
        requests=row.requests,
        mean_ms=row.mean_ms,
        p50_ms=row.p50_ms,
        p90_ms=row.p90_ms,
        p95_ms=row.p95_ms,
        p99_ms=row.p99_ms,
        max_ms=row.max_ms,
    )


def width_s(duration_s: float) -> int:
    """Return how many seconds a point of a run's curves stands for.

    It is a width that the database stores windows for, or whole minutes, such that a run of
    *duration_s* has fewer than `MOST_POINTS` points.
    """
    least = duration_s / (MOST_POINTS - SPARE_POINTS)
    if least <= 10:
        return 1 if least <= 1 else 10
    return 60 * ceil(least / 60)


def _span(run: Run) -> Span:
    """Return from when until when a run is drawn, and the width of a point in seconds."""
    now = datetime.now(UTC)
    lasted = (run.ended or now) - run.started
    until = run.ended + LATE if run.ended else now + LATE  # a worker's clock may be ahead
    return run.started, until, width_s(lasted.total_seconds())


def _continued(connection: Connection, run: Run, known: document.Points | None) -> document.Points:
    """Return the curves of *run*, as far as they have settled from *known*."""
    span = _span(run)
    settled_s = (datetime.now(UTC) - run.started).total_seconds() - SETTLED_S
    kept = 0 if known is None else sum(t_s < settled_s for t_s in known.t_s)
    if known is None or run.ended or known.width_s != span[2] or not kept:
        return _points(connection, run, span)
    # the middle of the last point that is kept is in no other, however its start was rounded
    middle = run.started + timedelta(seconds=known.t_s[kept - 1] + span[2] / 2)
    return _joined(known, kept - 1, _points(connection, run, (middle, *span[1:])))


def _joined(old: document.Points, kept: int, new: document.Points) -> document.Points:
    """Return the first *kept* points of *old* and then those of *new*."""

    def curves(part: str) -> document.Curves | None:
        before, after = getattr(old, part), getattr(new, part)
        if before is None and after is None:
            return None
        before, after = before or _unknown(kept), after or _unknown(len(new.t_s))
        return document.Curves(
            mean_ms=before.mean_ms[:kept] + after.mean_ms,
            p50_ms=before.p50_ms[:kept] + after.p50_ms,
            p95_ms=before.p95_ms[:kept] + after.p95_ms,
            p99_ms=before.p99_ms[:kept] + after.p99_ms,
        )

    return document.Points(
        width_s=new.width_s,
        t_s=old.t_s[:kept] + new.t_s,
        users=old.users[:kept] + new.users,
        requests_per_s=old.requests_per_s[:kept] + new.requests_per_s,
        failures_per_s=old.failures_per_s[:kept] + new.failures_per_s,
        covered=old.covered[:kept] + new.covered,
        total=curves("total") or new.total,
        app=curves("app"),
        queue=curves("queue"),
        outside=curves("outside"),
        raw=curves("raw"),
        receiving=curves("receiving"),
    )


def _unknown(points: int) -> document.Curves:
    nothing: list[float | None] = [None] * points
    return document.Curves(mean_ms=nothing, p50_ms=nothing, p95_ms=nothing, p99_ms=nothing)


def _points(connection: Connection, run: Run, span: Span) -> document.Points:
    curves = {part: _curve(connection, run, span, part) for part in PARTS}
    total = curves["total"]
    counted = connection.execute(
        "SELECT time, users FROM users_over_time(%s, %s, %s, %s)", [run.run_id, *span]
    )
    users = dict(counted.fetchall())
    if run.ended is None:  # users are known before requests: a rate would seem to fall
        users = {time: number for time, number in users.items() if time <= max(total, default=time)}
    times = sorted(total.keys() | users.keys())[:MOST_POINTS]
    return document.Points(
        width_s=span[2],
        t_s=[_seconds(run.started, time) for time in times],
        users=[users.get(time) for time in times],
        requests_per_s=[_short(total[t]["requests_per_s"]) if t in total else 0.0 for t in times],
        failures_per_s=[_short(total[t]["failures_per_s"]) if t in total else 0.0 for t in times],
        covered=[_share(curves["outside"].get(t), total.get(t)) for t in times],
        total=_curves(total, times),
        app=_curves(curves["app"], times) if curves["app"] else None,
        queue=_curves(curves["queue"], times) if curves["queue"] else None,
        outside=_curves(curves["outside"], times) if curves["outside"] else None,
        raw=_curves(curves["raw"], times) if curves["raw"] else None,
        receiving=_curves(curves["receiving"], times) if curves["receiving"] else None,
    )


def _curve(connection: Connection, run: Run, span: Span, part: str) -> dict[datetime, Row]:
    """Return the database's points of one part of all requests, by their times."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "SELECT * FROM latency(%s, %s, %s, %s, %s)"
        rows = cursor.execute(query, [run.run_id, *span, part])
        return {row["time"]: row for row in rows}


def _curves(rows: Mapping[datetime, Row], times: Iterable[datetime]) -> document.Curves:
    found = [rows.get(time, {}) for time in times]
    return document.Curves(
        mean_ms=[_short(row.get("mean_ms")) for row in found],
        p50_ms=[_short(row.get("p50_ms")) for row in found],
        p95_ms=[_short(row.get("p95_ms")) for row in found],
        p99_ms=[_short(row.get("p99_ms")) for row in found],
    )


def _share(part: Row | None, total: Row | None) -> float | None:
    if not total or not total["requests"]:
        return None
    return _short(part["requests"] / total["requests"]) if part else 0.0


def _errors(connection: Connection, run_id: datetime) -> list[document.Error]:
    return [
        document.Error(
            name=row.name,
            request_type=row.request_type,
            error=row.error or "",
            failures=row.failures,
            first_s=_seconds(run_id, row.first),
            last_s=_seconds(run_id, row.last),
        )
        for row in queries.failures(connection, run_id, MOST_ERRORS)
    ]


def _task_errors(connection: Connection, run_id: datetime) -> list[document.TaskError]:
    found = queries.task_errors(connection, run_id)
    most = [document.TaskError(error=row.error, count=row.count) for row in found[:MOST_ERRORS]]
    if rest := sum(row.count for row in found[MOST_ERRORS:]):
        most.append(document.TaskError(error="other errors", count=rest))
    return most


def _events(connection: Connection, run_id: datetime) -> list[document.Happening]:
    rows = connection.execute(
        "SELECT time, coalesce(kind, ''), text FROM (SELECT * FROM events WHERE run_id = %s"
        " ORDER BY time DESC LIMIT %s) latest ORDER BY time, kind, text",
        [run_id, MOST_EVENTS],
    )
    return [
        document.Happening(t_s=_seconds(run_id, time), kind=kind, text=text)
        for time, kind, text in rows
    ]


def _generator(connection: Connection, run: Run) -> document.Generator | None:
    width = _span(run)[2]
    rows = connection.execute(
        "SELECT date_bin(make_interval(secs => %s), time, 'epoch') AS slot, max(cpu_ratio),"
        " max(loop_lag_s) * 1000, max(dispersion) FROM generator_health"
        " WHERE run_id = %s GROUP BY slot ORDER BY slot LIMIT %s",
        [width, run.run_id, MOST_POINTS],
    ).fetchall()
    if not rows:
        return None
    return document.Generator(
        t_s=[_seconds(run.started, time) for time, *_ in rows],
        cpu_ratio=[_short(cpu) for _, cpu, _, _ in rows],
        loop_lag_ms=[_short(lag) for _, _, lag, _ in rows],
        dispersion=[_short(ratio) for *_, ratio in rows],
    )


def _server(started: datetime, capture: server_series.Capture | None) -> document.Server | None:
    if capture is None or not capture.series:
        return None
    points = len(next(iter(capture.series.values())))
    since_s = _seconds(started, capture.since)
    return document.Server(
        t_s=[since_s + number * capture.step_s for number in range(points)],
        series=[
            document.Series(job=job, name=name, values=[_short(value) for value in values])
            for (job, name), values in capture.series.items()
        ],
    )


def _grafana_url(run: Run, url: str | None) -> str | None:
    ended = None if run.ended is None else run.ended.timestamp()
    return dashboard_of_run(url, run.run, ended) if url else None


def _seconds(started: datetime, time: datetime) -> float:
    return round((time - started).total_seconds(), 3)


def _short(value: Any) -> Any:
    return value if value is None else float(f"{value:.{DIGITS}g}")
