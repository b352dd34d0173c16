"""One figure over the runs of a plan, and its changes: what `swarmscope trend` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import LiteralString

from psycopg.rows import class_row

from swarmscope.formatting import digits
from swarmscope.runs.connection import Connection
from swarmscope.runs.histogram import CALLS, COMPONENTS, PARTS
from swarmscope.runs.queries import NoSuchRun
from swarmscope.runs.trend import change_points

SUMMED = (*COMPONENTS, *CALLS)  # the parts that `component_summary` has
MEASURES = ("mean", "p50", "p90", "p95", "p99", "max")
RATE, FAIL_RATIO = "rate", "failed"  # measures of requests, whatever their part
MIN_RUNS = 2 * change_points.MIN_SEGMENT  # of which a change can be found in order
PAST: LiteralString = """
    WITH described AS (
        SELECT r.run_id, r.run, r.env AS environment, t.branch, t.commit_hash, t.machine,
            t.changeset_guid AS version, r.testplan AS plan, t.scenario_hash,
            jsonb_build_array(
                r.testplan, r.scenario, r.profile_name, r.target_users, t.settings::jsonb - 'host'
            ) AS load
        FROM run r JOIN testrun t ON t.id = r.run_id
        WHERE r.complete AND r.requests > 0 AND NOT r.capacity_search
            AND (%(plan)s::text IS NULL OR r.testplan = %(plan)s)
            AND (%(until)s::timestamptz IS NULL OR r.run_id <= %(until)s)
    ), latest AS (
        SELECT run_id AS newest, load, plan, machine FROM described ORDER BY run_id DESC LIMIT 1
    )
    SELECT run_id, run, environment, branch, commit_hash, version, plan, scenario_hash,
        d.load = l.load AS same_load,
        coalesce(d.machine = l.machine, true) AS same_machine
    FROM described d JOIN latest l USING (plan)
    WHERE d.run_id = l.newest OR NOT EXISTS (
        SELECT FROM events e WHERE e.run_id = d.run_id AND e.kind = 'ended_early'
    ) ORDER BY run_id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Figure:
    """Which figure: a measure of a part of an endpoint ("METHOD NAME"; '' is all together)."""

    endpoint: str = ""
    part: str = "response"
    measure: str = "p95"

    @property
    def words(self) -> str:
        """The figure in words."""
        of = self.endpoint or "all requests"
        if self.measure in (RATE, FAIL_RATIO):
            return f"{'rate' if self.measure == RATE else 'share of failures'} of {of}"
        part = self.part.replace("_", " ")
        return f"{part} {self.measure} of {of}"


@dataclass(frozen=True)
class PastRun:
    """A complete run of a plan, and whether it is like the latest of those that were asked for.

    A machine that is not known is taken for the same one.
    """

    run_id: datetime
    run: str
    environment: str
    branch: str | None
    commit_hash: str | None
    version: str | None
    plan: str
    scenario_hash: str | None
    same_load: bool
    same_machine: bool

    @property
    def shown_version(self) -> str | None:
        """The version that its options name, else the commit that was checked out."""
        return self.version or (self.commit_hash and self.commit_hash[:12])

    def is_of(self, label: str) -> bool:
        """Whether *label* is its branch, environment or version."""
        return label in (self.branch, self.environment, self.version)


@dataclass(frozen=True)
class Point:
    """The figure of one run; None where it was not measured."""

    run: str
    version: str | None
    value: float | None


@dataclass(frozen=True)
class Change:
    """A change for good: the first run after it, means before and after, its size with an interval.

    *change*, *low* and *high* are relative to *before*; None where that is 0.
    """

    run: str
    version: str | None
    previous_version: str | None
    before: float
    after: float
    change: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Trend:
    """A figure over runs of one plan and load, oldest first.

    *spread* is its standard deviation between runs of which none changed it, relative to the latest
    mean; None where too few runs are known. *other_loads* and *other_machines* are runs of the plan
    that are left out; *scenarios* is how many versions of its files the others had.
    """

    plan: str
    endpoint: str
    part: str
    measure: str
    points: list[Point]
    changes: list[Change]
    spread: float | None
    other_loads: int
    other_machines: int
    scenarios: int


def past_runs(
    connection: Connection, plan: str | None, limit: int, until: datetime | None = None
) -> list[PastRun]:
    """Return the latest *limit* complete runs of *plan* until the run *until*, oldest first.

    Without a plan, that of the latest of them. Capacity searches are none of them, nor
    runs before the latest that `--check-abort` ended.
    """
    wanted = {"plan": plan, "limit": limit, "until": until}
    with connection.cursor(row_factory=class_row(PastRun)) as cursor:
        return cursor.execute(PAST, wanted).fetchall()[::-1]


def trend(connection: Connection, plan: str | None, figure: Figure, limit: int) -> Trend:
    """Return *figure* over the last *limit* runs of *plan*, by default that of the latest run.

    Raises `NoSuchRun` if there is no complete run, or none of them has the endpoint.
    """
    found = past_runs(connection, plan, limit)
    if not found:
        of = f" of {plan!r}" if plan else ""
        raise NoSuchRun(f"there is no complete run{of}; `swarmscope runs` lists them")
    loads = [run for run in found if run.same_load]
    alike = [run for run in loads if run.same_machine]
    points = [Point(run.run, run.shown_version, _value(connection, run, figure)) for run in alike]
    known = [point for point in points if point.value is not None]
    if not known:
        raise NoSuchRun(f"no run of {found[0].plan!r} has the {figure.words}")
    parts = change_points.segments([point.value or 0.0 for point in known])
    return Trend(
        found[0].plan,
        figure.endpoint,
        figure.part,
        figure.measure,
        points,
        [_change(known, step) for step in change_points.steps(parts)],
        _relative_spread(parts),
        len(found) - len(loads),
        len(loads) - len(alike),
        len({run.scenario_hash for run in alike} - {None}),
    )


def _value(connection: Connection, run: PastRun, figure: Figure) -> float | None:
    """Return the figure of a run, from the span that `show` has; None where it is unknown."""
    is_component = figure.part in SUMMED
    column = {RATE: "requests_per_s", FAIL_RATIO: "fail_ratio"}.get(figure.measure)
    if column is None:
        column = figure.measure if is_component else f"{figure.measure}_ms"
    name = figure.endpoint.partition(" ")[2] or figure.endpoint
    if is_component:
        query = "SELECT * FROM component_summary(%(run)s, false, %(names)s::text[])"
    else:
        query = "SELECT * FROM summary(%(run)s, false, %(parts)s, %(names)s)"
    cursor = connection.execute(
        f"SELECT to_jsonb(s)->>%(column)s FROM ({query}) s"
        " WHERE part = %(part)s AND trim(request_type || ' ' || name) = %(endpoint)s",
        {
            "run": run.run_id, "names": [name, figure.endpoint], "parts": [figure.part],
            "part": figure.part, "endpoint": figure.endpoint, "column": column,
        },
    )  # fmt: skip
    row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])


def _change(known: Sequence[Point], step: change_points.Step) -> Change:
    first, last_before = known[step.at], known[step.at - 1]

    def relative(difference: float) -> float | None:
        return difference / step.before if step.before else None

    return Change(
        first.run,
        first.version,
        last_before.version,
        step.before,
        step.after,
        relative(step.after - step.before),
        relative(step.low),
        relative(step.high),
    )


def _relative_spread(parts: Sequence[Sequence[float]]) -> float | None:
    found, mean = change_points.spread(parts), fmean(parts[-1])
    return None if found is None or not mean else found / mean


def sentences(found: Trend) -> list[str]:
    """Return in words what a trend says, a sentence a change; how much runs vary is the last.

    ``response p95 of all requests: 25.2 → 29.2, +15.9 % (12.1 to 19.8 %), since 2026-03-09T… (v2)``
    """
    words = Figure(found.endpoint, found.part, found.measure).words
    known = [point for point in found.points if point.value is not None]
    lines = [f"{words}: {_size(change)}, since {_place(change)}." for change in found.changes]
    if len(known) < MIN_RUNS:
        lines.append(f"{len(known)} runs are too few to find a change in: {MIN_RUNS} are needed.")
    elif not lines:
        lines.append(f"{words}: no change in {len(known)} runs beyond what runs vary.")
    if found.spread is not None:
        lines.append(f"From run to run it varies by {found.spread:.1%} (standard deviation).")
    if found.scenarios > 1:
        lines.append(f"The scenario's files were edited meanwhile: {found.scenarios} versions.")
    others = {"with another load": found.other_loads, "of another machine": found.other_machines}
    if left_out := ", ".join(f"{number} {what}" for what, number in others.items() if number):
        lines.append(f"Left out of the plan's runs: {left_out}.")
    return lines


def _size(change: Change) -> str:
    text = f"{digits(change.before)} → {digits(change.after)}"
    if change.change is None or change.low is None or change.high is None:
        return text
    return f"{text}, {change.change:+.1%} ({change.low:+.1%} to {change.high:+.1%})"


def _place(change: Change) -> str:
    if change.version is None:
        return change.run
    before = f", before it {change.previous_version}" if change.previous_version else ""
    return f"{change.run} (version {change.version}{before})"


def parts() -> list[str]:
    """Return the parts whose figures a trend can show."""
    return [*PARTS, *SUMMED]
