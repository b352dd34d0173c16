"""Assembles a run's document from the runs database, and from Prometheus if it is available."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from operator import attrgetter
from typing import Any

import msgspec
from psycopg.rows import dict_row

from swarmscope.home import dashboard_of_run
from swarmscope.runs import (
    captures,
    document,
    queries,
    server_series,
    service_times,
    statement_figures,
    time_spent,
)
from swarmscope.runs.causes import conclusions
from swarmscope.runs.connection import Connection, snapshot
from swarmscope.runs.document import MAX_ERRORS, MAX_EVENTS, MAX_POINTS, MAX_SLOWEST, Document
from swarmscope.runs.histogram import CALLS, COMPONENTS, PARTS
from swarmscope.runs.model import ComponentSummary, Run, Summary, TaskError
from swarmscope.runs.prometheus import Unavailable
from swarmscope.runs.resources import curves
from swarmscope.runs.selection import Endpoint as Key
from swarmscope.runs.services import Targets

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]
Curves = document.Curves | document.Means
Span = tuple[datetime, datetime, int]  # from, until, and the width of a point in seconds
# by start and end of a run, and what it says of its services
Services = Callable[[datetime, datetime | None, Targets], server_series.Capture | None]

LATE = timedelta(minutes=10)  # requests that finish this long after the run's end are drawn
SETTLED_S = 30.0  # by then a second's samples are in the database, if that was reachable
SPARE_POINTS = 10  # for late requests, and for a first point that begins before the run
DIGITS = 5  # of a curve's values; histograms are exact to 2.5 %
SHOWN = server_series.RATES.keys() | server_series.GAUGES.keys()  # of the services' series
CURVES = tuple(field.name for field in dataclasses.fields(document.Curves))


def ask_prometheus(url: str | None) -> Services | None:
    """Return a function that asks the Prometheus at *url*; None without a URL.

    It returns None when Prometheus does not answer. A run without an end is read up to now.
    """

    def ask(
        started: datetime, ended: datetime | None, targets: Targets
    ) -> server_series.Capture | None:
        assert url is not None
        try:
            return server_series.read(url, started, ended or datetime.now(UTC), targets)
        except Unavailable as error:
            logger.info("The services' metrics are missing: %s", error)
            return None

    return None if url is None else ask


def assemble(
    connection: Connection,
    run_id: datetime,
    whole: bool = False,
    services: Services | None = None,
    known: Document | None = None,
    rows: list[Summary] | None = None,
    slowest: bool = True,
) -> Document:
    """Return a run's document, with figures after ramp-up or of the *whole* run.

    It is read from one snapshot of the database. The services' series are those stored when the run
    ended, else what *services* (`ask_prometheus`) returns now. While the run is running, points
    older than `SETTLED_S` and the slowest requests are taken from *known*, an earlier document, at
    a fraction of the cost. Callers may give its summary, *rows*, if they have read it already, and
    leave out the *slowest* requests. Raises `queries.NoSuchRun`.
    """
    with snapshot(connection):
        if rows is None:
            rows = queries.summary(connection, run_id, whole)
        made = _assemble(connection, run_id, rows, whole, known)
        if slowest and (known is None or made.run.ended):
            found = _slowest(connection, run_id, rows)
            made = dataclasses.replace(made, slowest=found)
        capture = captures.stored(connection, run_id)
        targets = captures.targets(connection, run_id)
    if capture is None and services is not None:
        capture = services(made.run.started, made.run.ended, targets)
        if capture is not None:
            until = made.run.ended or datetime.now(UTC)
            capture = captures.with_database(connection, run_id, capture, until)
    if capture is None:
        return dataclasses.replace(made, notes=conclusions.notes(made))
    concluded = conclusions.conclusions(connection, run_id, made, capture)
    return dataclasses.replace(_with_services(made, capture), **vars(concluded))


def _with_services(made: Document, capture: server_series.Capture) -> Document:
    """Return *made* with the services' series, and their figures in the span of its totals."""
    started, ended = made.run.started, made.run.ended or datetime.now(UTC)
    until = ended if made.until_s is None else started + timedelta(seconds=made.until_s)
    since = started + timedelta(seconds=made.since_s or 0.0)
    found = service_times.figures(capture, since, until)
    statements = statement_figures.statements(capture.counts)
    return dataclasses.replace(
        made,
        server=_server(started, capture),
        services=found,
        statements=statements,
        calls=statement_figures.outgoing(capture.counts),
        findings=time_spent.joined(made.findings, found, statements),
        notes=conclusions.notes(made),
    )


def captured(
    connection: Connection, run: Run, services: Services | None = None
) -> server_series.Capture | None:
    """Return what is known of a run's services; see `assemble`."""
    capture = captures.stored(connection, run.run_id)
    if capture is None and services is not None:
        capture = services(run.started, run.ended, captures.targets(connection, run.run_id))
    return capture


def _assemble(
    connection: Connection,
    run_id: datetime,
    rows: list[Summary],
    whole: bool,
    known: Document | None,
) -> Document:
    run = queries.by_id(connection, run_id)
    known = known if run.ended is None else None
    row = _row(connection, run_id) | {"settings": queries.settings(connection, run)}
    endpoints = endpoints_of(rows, queries.component_summary(connection, run_id, whole))
    totals = next((e for e in endpoints if (e.name, e.request_type) == ("", "")), None)
    return Document(
        version=document.VERSION,
        run=msgspec.convert({**vars(run), **row}, document.RunDetails),
        completeness=msgspec.convert(run, document.Completeness, from_attributes=True),
        objective=_objective(run, totals, rows),
        verdict=queries.verdict(connection, run_id),
        ended_early=early.text if (early := queries.ended_early(connection, run_id)) else None,
        trust=trust(connection, run_id),
        whole=whole if not rows else rows[0].is_whole,
        since_s=max(0.0, _seconds(run_id, rows[0].since)) if rows else None,
        until_s=_seconds(run_id, rows[0].until) if rows else None,
        scope=rows[0].scope if rows else None,
        scope_text=rows[0].scope_text if rows else "",
        totals=totals,
        endpoints=[endpoint for endpoint in endpoints if endpoint is not totals],
        points=_continued(connection, run, known.points if known else None),
        errors=_errors(connection, run_id),
        events=_events(connection, run_id),
        generator=_generator(connection, run),
        server=None,
        grafana_url=_grafana_url(run, row["grafana_url"]),
        task_errors=_task_errors(connection, run_id),
        levels=levels(connection, run_id),
        findings=time_spent.sentences(endpoints),
        slowest=known.slowest if known else [],
    )


def _row(connection: Connection, run_id: datetime) -> dict[str, Any]:
    """Return the columns of a run that the view `run` lacks, named as in `document.RunDetails`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            "SELECT run_text(id) AS id, profile_name AS profile, env AS environment,"
            " changeset_guid AS test_version, gitrepo AS repository, arguments,"
            " exit_code, grafana_url, coalesce(versions, '{}') AS versions,"
            " branch, commit_hash, scenario_hash, machine"
            " FROM testrun WHERE id = %s",
            [run_id],
        )
        return dict(found.fetchall()[0])


def _objective(
    run: Run, totals: document.Endpoint | None, rows: Sequence[Summary]
) -> document.ObjectiveResult:
    left_out = next((row.left_out for row in rows if row.endpoint == ("", "")), 0)
    met = totals.objective_met if totals else None
    return document.ObjectiveResult(
        quantile=run.objective_quantile,
        limit_ms=run.objective_ms,
        fail_ratio=run.objective_fail_ratio,
        met=met,
        reason=run.why_not_judged(totals.requests, left_out) if totals and met is None else "",
    )


def trust(connection: Connection, run_id: datetime) -> document.GeneratorTrust | None:
    """Return whether a run's latencies can be believed; None where nothing was measured."""
    found = queries.trust(connection, run_id)
    if found is None:
        return None
    trusted = not (found.details.get("saturated") or found.details.get("bursty"))
    return document.GeneratorTrust(trusted=trusted, text=found.text, details=found.details)


def levels(connection: Connection, run_id: datetime) -> list[document.LevelResult]:
    """Return the levels of a capacity search, in order; none for other runs."""
    rows = connection.execute(
        "SELECT time, details FROM events WHERE run_id = %s AND kind = 'level' ORDER BY time",
        [run_id],
    )
    return [
        msgspec.convert({"t_s": _seconds(run_id, time), **details}, document.LevelResult)
        for time, details in rows
        if details
    ]


def endpoints_of(
    rows: Iterable[Summary], components: Iterable[ComponentSummary]
) -> list[document.Endpoint]:
    """Return the figures of each endpoint, with what is known of its *components*."""
    divided: dict[Key, list[ComponentSummary]] = defaultdict(list)
    for row in components:
        divided[row.name, row.request_type].append(row)
    grouped = groupby(rows, attrgetter("endpoint"))
    return [_endpoint(list(group), divided[key]) for key, group in grouped]


def _endpoint(rows: Sequence[Summary], components: Iterable[ComponentSummary]) -> document.Endpoint:
    """Return one endpoint's figures from its rows, one for each part."""
    parts: dict[str, Any] = {row.part: row for row in rows}
    parts |= {row.part: row.mean if row.part in CALLS else _latency(row) for row in components}
    return msgspec.convert(
        {**vars(parts["response"]), **parts}, document.Endpoint, from_attributes=True
    )


def _latency(row: ComponentSummary) -> document.Latency:
    return document.Latency(
        requests=row.requests,
        mean_ms=row.mean,
        p50_ms=row.p50,
        p90_ms=row.p90,
        p95_ms=row.p95,
        p99_ms=row.p99,
        max_ms=row.max,
    )


def width_s(duration_s: float) -> int:
    """Return how many seconds a point of a run's curves covers.

    It is a width that the database stores windows for, or whole minutes, such that a run of
    *duration_s* has fewer than `MAX_POINTS` points.
    """
    min_s = duration_s / (MAX_POINTS - SPARE_POINTS)
    if min_s <= 10:
        return 1 if min_s <= 1 else 10
    return 60 * ceil(min_s / 60)


def _span(run: Run) -> Span:
    """Return the start and end of a run's curves, and the width of a point in seconds."""
    now = datetime.now(UTC)
    lasted = (run.ended or now) - run.started
    until = run.ended + LATE if run.ended else now + LATE  # a worker's clock may be ahead
    return run.started, until, width_s(lasted.total_seconds())


def _continued(connection: Connection, run: Run, known: document.Points | None) -> document.Points:
    """Return the points of *run*; those that have settled come from *known*."""
    span = _span(run)
    settled_s = (datetime.now(UTC) - run.started).total_seconds() - SETTLED_S
    kept = 0 if known is None else sum(t_s < settled_s for t_s in known.t_s)
    if known is None or known.width_s != span[2] or not kept:
        return _points(connection, run, span)
    # the middle of the last point that is kept is in no other, however its start was rounded
    middle = run.started + timedelta(seconds=known.t_s[kept - 1] + span[2] / 2)
    return _joined(known, kept - 1, _points(connection, run, (middle, *span[1:])))


def _joined(old: document.Points, kept: int, new: document.Points) -> document.Points:
    """Return the first *kept* points of *old* and then those of *new*."""
    lists = ("t_s", "users", "requests_per_s", "failures_per_s", "covered")
    joined = {name: getattr(old, name)[:kept] + getattr(new, name) for name in lists}
    for part in (*PARTS, *COMPONENTS):
        curves = getattr(old, part), getattr(new, part)
        joined[part] = _joined_curves(*curves, kept, len(new.t_s))
    return document.Points(width_s=new.width_s, **joined)


def _joined_curves(old: Curves | None, new: Curves | None, kept: int, points: int) -> Curves | None:
    """Return *kept* points of *old*, then the *points* of *new*; None where there are neither."""
    known = old or new
    if known is None:
        return None

    def joined(name: str) -> list[float | None]:
        before = getattr(old, name)[:kept] if old else [None] * kept
        return [*before, *(getattr(new, name) if new else [None] * points)]

    names = [field.name for field in dataclasses.fields(known)]
    return type(known)(**{name: joined(name) for name in names})


def _points(connection: Connection, run: Run, span: Span) -> document.Points:
    curves = {part: _curve(connection, run, span, part) for part in PARTS}
    total = curves["response"]
    counted = connection.execute(
        "SELECT time, users FROM users_over_time(%s, %s, %s, %s)", [run.run_id, *span]
    )
    users = dict(counted.fetchall())
    if run.ended is None:  # users are known before requests: a rate would seem to fall
        users = {time: number for time, number in users.items() if time <= max(total, default=time)}
    times = sorted(total.keys() | users.keys())[:MAX_POINTS]
    parts: dict[str, Any] = {
        **{p: _curves(rows, times) for p, rows in curves.items() if rows or p == "response"},
        **_components(connection, run, span, times),
    }
    return document.Points(
        width_s=span[2],
        t_s=[_seconds(run.started, time) for time in times],
        users=[users.get(time) for time in times],
        requests_per_s=[_short(total[t]["requests_per_s"]) if t in total else 0.0 for t in times],
        failures_per_s=[_short(total[t]["failures_per_s"]) if t in total else 0.0 for t in times],
        covered=[_share(curves["outside"].get(t), total.get(t)) for t in times],
        **parts,
    )


def _components(
    connection: Connection, run: Run, span: Span, times: Sequence[datetime]
) -> dict[str, document.Means]:
    """Return the curves of the components that were measured, at *times*."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "SELECT * FROM latency_parts(%s, %s, %s, %s)"
        rows = {row["time"]: row for row in cursor.execute(query, [run.run_id, *span])}
    means = {
        part: [_short(rows[time][f"{part}_ms"]) if time in rows else None for time in times]
        for part in COMPONENTS
    }
    return {part: document.Means(mean_ms=mean) for part, mean in means.items() if {*mean} - {None}}


def _curve(connection: Connection, run: Run, span: Span, part: str) -> dict[datetime, Row]:
    """Return the database's points of one part of latency, by time."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "SELECT * FROM latency(%s, %s, %s, %s, %s)"
        rows = cursor.execute(query, [run.run_id, *span, part])
        return {row["time"]: row for row in rows}


def _curves(rows: Mapping[datetime, Row], times: Iterable[datetime]) -> document.Curves:
    found = [rows.get(time, {}) for time in times]
    return document.Curves(**{name: [_short(row.get(name)) for row in found] for name in CURVES})


def _share(part: Row | None, total: Row | None) -> float | None:
    if not total or not total["requests"]:
        return None
    return _short(part["requests"] / total["requests"]) if part else 0.0


def _errors(connection: Connection, run_id: datetime) -> list[document.EndpointError]:
    return [
        document.EndpointError(
            name=row.name,
            request_type=row.request_type,
            error=row.error or "",
            failures=row.failures,
            first_s=_seconds(run_id, row.first),
            last_s=_seconds(run_id, row.last),
        )
        for row in queries.failures(connection, run_id, MAX_ERRORS)
    ]


def _slowest(
    connection: Connection, run_id: datetime, summary: Sequence[Summary]
) -> list[document.SlowRequest]:
    if not summary:
        return []
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "SELECT * FROM slowest(%s, %s, %s, 'All endpoints', %s)"
        rows = cursor.execute(query, [run_id, *summary[0].windows, MAX_SLOWEST]).fetchall()
    return [msgspec.convert(_shortened(run_id, row), document.SlowRequest) for row in rows]


def _shortened(run_id: datetime, row: Row) -> Row:
    figures = {name: _short(v) if isinstance(v, float) else v for name, v in row.items()}
    return {**figures, "t_s": _seconds(run_id, row["started"])}


def _task_errors(connection: Connection, run_id: datetime) -> list[TaskError]:
    found = queries.task_errors(connection, run_id)
    rest = sum(row.count for row in found[MAX_ERRORS:])
    others = [TaskError(error="other errors", count=rest)] if rest else []
    return [*found[:MAX_ERRORS], *others]


def _events(connection: Connection, run_id: datetime) -> list[document.RunEvent]:
    rows = connection.execute(
        "SELECT time, coalesce(kind, ''), text FROM (SELECT * FROM events WHERE run_id = %s"
        " ORDER BY time DESC LIMIT %s) latest ORDER BY time, kind, text",
        [run_id, MAX_EVENTS],
    )
    return [
        document.RunEvent(t_s=_seconds(run_id, time), kind=kind, text=text)
        for time, kind, text in rows
    ]


def _generator(connection: Connection, run: Run) -> document.GeneratorCurves | None:
    width = _span(run)[2]
    rows = connection.execute(
        "SELECT date_bin(make_interval(secs => %s), time, 'epoch') AS slot, max(cpu_ratio),"
        " max(loop_lag_s) * 1000, max(dispersion) FROM generator_health"
        " WHERE run_id = %s GROUP BY slot ORDER BY slot LIMIT %s",
        [width, run.run_id, MAX_POINTS],
    ).fetchall()
    if not rows:
        return None
    return document.GeneratorCurves(
        t_s=[_seconds(run.started, time) for time, *_ in rows],
        cpu_ratio=[_short(cpu) for _, cpu, _, _ in rows],
        loop_lag_ms=[_short(lag) for _, _, lag, _ in rows],
        dispersion=[_short(ratio) for *_, ratio in rows],
    )


def _server(started: datetime, capture: server_series.Capture) -> document.Services | None:
    shown = {key: values for key, values in capture.series.items() if key[1] in SHOWN}
    if not shown:
        return None
    points = len(next(iter(shown.values())))
    since_s = _seconds(started, capture.since)
    return document.Services(
        t_s=[since_s + number * capture.step_s for number in range(points)],
        series=[
            document.ServiceSeries(job=job, name=name, values=[_short(value) for value in values])
            for (job, name), values in shown.items()
        ],
        calls=[
            document.CallSeries(
                **vars(key),
                service=capture.places.get(key.host),
                values=[_short(value) for value in values],
            )
            for key, values in capture.calls.items()
        ],
        resources=curves.over_time(capture.resources),
    )


def _grafana_url(run: Run, url: str | None) -> str | None:
    ended = None if run.ended is None else run.ended.timestamp()
    return dashboard_of_run(url, run.run, ended) if url else None


def _seconds(started: datetime, time: datetime) -> float:
    return round((time - started).total_seconds(), 3)


def _short(value: Any) -> Any:
    return value if value is None else float(f"{value:.{DIGITS}g}")
