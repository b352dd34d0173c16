"""One figure over the runs of a plan, and its changes: what `swarmscope trend` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from swarmscope.formatting import digits
from swarmscope.runs.connection import Connection
from swarmscope.runs.histogram import CALLS, COMPONENTS, PARTS
from swarmscope.runs.queries import NoSuchRun
from swarmscope.runs.trend import change_points, past_runs
from swarmscope.runs.trend.past_runs import PastRun

SUMMED = (*COMPONENTS, *CALLS)  # the parts that `component_summary` has
MEASURES = ("mean", "p50", "p90", "p95", "p99", "max")
RATE, FAIL_RATIO = "rate", "failed"  # measures of requests, whatever their part
MIN_RUNS = 2 * change_points.MIN_SEGMENT  # of which a change can be found in order


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
class Point:
    """The figure of one run; None where it was not measured."""

    run: str
    version: str | None
    branch: str | None
    environment: str
    objective: str
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
    mean; None where too few runs are known. *left_out* says how many runs of the plan are left out,
    and why; *doubts* how the others differ.
    """

    plan: str
    endpoint: str
    part: str
    measure: str
    points: list[Point]
    changes: list[Change]
    spread: float | None
    left_out: str
    doubts: list[str]


def trend(connection: Connection, plan: str | None, figure: Figure, limit: int) -> Trend:
    """Return *figure* over the last *limit* runs of *plan*, by default that of the latest run.

    Raises `NoSuchRun` if there is no complete run, or none of them has the endpoint.
    """
    found = past_runs.past_runs(connection, plan, limit)
    if not found:
        of = f" of {plan!r}" if plan else ""
        raise NoSuchRun(f"there is no complete run{of}; `swarmscope runs` lists them")
    alike = [run for run in found if run.is_alike]
    points = _points(connection, alike, figure)
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
        past_runs.left_out(found),
        past_runs.doubts(alike),
    )


def _points(connection: Connection, runs: Sequence[PastRun], figure: Figure) -> list[Point]:
    """Return the figure of each run, from the span that `show` has."""
    rows = connection.execute(
        "SELECT run, figure_of(run, %s, %s, %s) FROM unnest(%s::timestamptz[]) run",
        [figure.endpoint, figure.part, figure.measure, [run.run_id for run in runs]],
    )
    values = dict(rows.fetchall())
    return [
        Point(
            run.run,
            run.shown_version,
            run.branch,
            run.environment,
            run.objective,
            values[run.run_id],
        )
        for run in runs
    ]


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
    lines += found.doubts
    if found.left_out:
        lines.append(f"Left out of the plan's runs: {found.left_out}.")
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
