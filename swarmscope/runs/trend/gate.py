"""What the runs before lead one to expect of the next one, as limits that a check can judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp, log, sqrt
from statistics import fmean, stdev

from swarmscope.runs import queries
from swarmscope.runs.compare.distributions import t_quantile
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run, Summary
from swarmscope.runs.sample_size import requests_for_quantile
from swarmscope.runs.thresholds import Threshold, endpoint_of
from swarmscope.runs.trend import change_points
from swarmscope.runs.trend.past_runs import PastRun, doubts, left_out, past_runs

MAX_HISTORY = 20  # runs; older ones say less of today's machine
MIN_HISTORY = 5
LOOK_BACK = 200  # runs of any branch, among which those of one are looked for
FALSE_ALARMS = 0.05  # the share of runs without any change that fail a limit
MAX_ENDPOINTS = 20  # those with most requests: each limit costs all others some of their power
METRIC = "p95"
MIN_REQUESTS = requests_for_quantile(0.95)
CERTAIN = 0.005  # of a change in the history

Totals = Mapping[str, Summary]


@dataclass(frozen=True)
class Expected:
    """Limits by what earlier runs were; none, and why, if too few are known."""

    limits: list[Threshold]
    words: str


def expected(connection: Connection, run: Run, label: str, files: Sequence[str] = ()) -> Expected:
    """Return the limits of the p95 of *run*, of all requests and by endpoint.

    They come from the runs before it whose branch, environment or version is *label*, or from those
    with ids in *files*, if any; whose plan, load and machine are those of *run*. All limits
    together are exceeded by `FALSE_ALARMS` of runs in which nothing changed.
    """
    known = past_runs(connection, run.testplan, LOOK_BACK, run.run_id, files)
    itself = [past for past in known if past.run_id == run.run_id]
    earlier = [past for past in known if past.run_id != run.run_id and _counts(past, label, files)]
    alike = [past for past in earlier if _is_alike(past, label)][-MAX_HISTORY:]
    others = left_out([past for past in earlier if not _is_alike(past, label)])
    notes = [f"Left out: {others}."] if others else []
    if len(alike) < MIN_HISTORY:
        words = f"{len(alike)} earlier runs of {label} are comparable, {MIN_HISTORY} needed."
        return Expected([], " ".join([words, *notes]))
    before = [totals(connection, past.run_id) for past in alike]
    found = limits(before, totals(connection, run.run_id))
    if not found:
        words = f"No endpoint had {MIN_REQUESTS} requests in each comparable run of {label}."
        return Expected([], " ".join([words, *notes]))
    words = (
        f"Limits are what the last {len(alike)} comparable runs of {label} lead one to expect: of"
        f" runs in which nothing changed, {FALSE_ALARMS:.0%} exceed one of them."
    )
    return Expected(found, " ".join([words, *notes, *doubts([*alike, *itself])]))


def _counts(past: PastRun, label: str, files: Sequence[str]) -> bool:
    return past.run in files if files else past.is_of(label)


def _is_alike(past: PastRun, label: str) -> bool:
    """Whether it is like the run; an environment that was asked for may be another one."""
    return past.is_alike or (past.same_load and past.same_machine and past.environment == label)


def totals(connection: Connection, run_id: datetime) -> Totals:
    """Return the response times of a run by endpoint; "" is all requests."""
    rows = queries.summary(connection, run_id)
    return {endpoint_of(row): row for row in rows if row.part == "response"}


def limits(before: Sequence[Totals], now: Totals) -> list[Threshold]:
    """Return the limits of a run with the totals *now*, by those of earlier ones, oldest first."""
    names = [name for name in _busiest(now) if all(_is_known(run, name) for run in (*before, now))]
    found = ((name, _limit(before, name, FALSE_ALARMS / len(names))) for name in names)
    return [Threshold(METRIC, limit, name) for name, limit in found if limit is not None]


def _is_known(run: Totals, name: str) -> bool:
    """Return whether a run has enough requests for the p95; of fewer it varies beyond measure."""
    return name in run and run[name].requests >= MIN_REQUESTS and bool(run[name].p95_ms)


def _busiest(now: Totals) -> list[str]:
    """Return "" for all requests, and the endpoints with most requests."""
    single = sorted(filter(None, now), key=lambda name: -now[name].requests)
    return ["", *single[:MAX_ENDPOINTS]]


def _limit(runs: Sequence[Totals], name: str, share: float) -> float | None:
    """Return what a run like the latest ones exceeds with probability *share*; None if unknown.

    Times are taken by their logarithms: what disturbs a machine multiplies them. Only a change that
    chance hardly makes ends the history: a machine's drift would leave too little of it.
    """
    latest = change_points.segments([log(run[name].p95_ms or 1) for run in runs], CERTAIN)[-1]
    return exp(bound(latest, share)) if len(latest) >= MIN_HISTORY else None


def bound(values: Sequence[float], share: float) -> float:
    """Return what another value of the same normal distribution exceeds with probability *share*.

    The one-sided prediction limit x̄ + t s √(1 + 1/n) (Hahn and Meeker, Statistical Intervals, 1991,
    section 4.2).

    >>> round(bound([98, 100, 102, 99, 101], 0.05), 1)
    103.7
    """
    spread = stdev(values) * sqrt(1 + 1 / len(values))
    return fmean(values) + t_quantile(1 - share, len(values) - 1) * spread
