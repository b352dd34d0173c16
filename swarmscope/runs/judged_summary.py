"""A run's summary for checks: its totals are of the requests that count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from math import ceil

from swarmscope.runs import assembly, component_windows, judged_components, queries, time_spent
from swarmscope.runs.compare.intervals import Histogram, join
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import ComponentSummary, Summary
from swarmscope.runs.selection import MORE_NAMES, Endpoint, Selection
from swarmscope.runs.thresholds import NOT_JUDGED, Outcome


@dataclass(frozen=True)
class JudgedSummary:
    """The rows of a summary; those of all endpoints together are of the requests that count.

    Those are missing where nothing counts; `problem` then says why. `left_out` is what does not.
    """

    rows: list[Summary]
    components: list[ComponentSummary] = field(default_factory=list)
    left_out: str = ""
    problem: str = ""

    def findings(self) -> list[str]:
        """Return in words where the time of single endpoints went."""
        return time_spent.sentences(assembly.endpoints_of(self.rows, self.components))

    def explain(self, outcome: Outcome) -> Outcome:
        """Return *outcome*, with the problem as its reason if it is about all requests."""
        if not self.problem or outcome.threshold.endpoint or outcome.verdict != NOT_JUDGED:
            return outcome
        return replace(outcome, reason=self.problem)


def summary(
    connection: Connection, run_id: datetime, whole: bool, selection: Selection
) -> JudgedSummary:
    """Return a run's summary, whose totals are of the requests that *selection* counts."""
    rows = queries.summary(connection, run_id, whole)
    divided = queries.component_summary(connection, run_id, whole)
    requests = {row.endpoint: row.requests for row in rows if row.part == "response"}
    requests.pop(("", ""), None)
    chosen = selection.counted(requests)
    others = requests.keys() - chosen
    if not others:
        return JudgedSummary(rows, divided)
    left: Counter[str] = Counter()
    for endpoint in others:
        left[endpoint[1]] += requests[endpoint]
    single = [row for row in rows if row.name or row.request_type]
    apart = [row for row in divided if row.name or row.request_type]
    if MORE_NAMES in requests:
        problem = "the run has too many names to know which requests count"
        return JudgedSummary(single, apart, problem=problem)
    if not chosen:
        problem = f"no request counts: none matches {selection.text!r}"
        return JudgedSummary(single, apart, problem=problem)
    together = _together(connection, run_id, single, chosen)
    names = [name for name, _ in chosen]
    found = component_windows.windows(connection, run_id, *rows[0].windows, names=names)
    apart += judged_components.together((row for row in found if row.endpoint in chosen), divided)
    return JudgedSummary([*together, *single], apart, selection.left_out(left))


@dataclass(frozen=True)
class Latencies:
    """The latencies of those requests that have a usable time."""

    histogram: Histogram
    sum_ms: float


def _together(
    connection: Connection, run_id: datetime, rows: Sequence[Summary], chosen: set[Endpoint]
) -> list[Summary]:
    """Return a row per part of the endpoints *chosen*, added up."""
    inside = [row for row in rows if row.endpoint in chosen]
    histograms = _histograms(connection, run_id, inside, chosen)
    parts = dict.fromkeys(row.part for row in inside)
    return [_sum([r for r in inside if r.part == part], histograms[part]) for part in parts]


def _histograms(
    connection: Connection, run_id: datetime, rows: Sequence[Summary], chosen: set[Endpoint]
) -> dict[str, Latencies]:
    """Return the latencies of *chosen* endpoints added up, by part, over the span of *rows*."""
    parts = list(dict.fromkeys(row.part for row in rows))
    found = connection.execute(
        "SELECT name, request_type, part, sum_ms, buckets, cumulative"
        " FROM merged(%s, %s, %s, NULL, %s, %s) WHERE buckets IS NOT NULL",
        [run_id, *rows[0].windows, parts, [name for name, _ in chosen]],
    ).fetchall()
    latencies = {}
    for part in parts:
        inside = [row[3:] for row in found if row[2] == part and row[:2] in chosen]
        histogram = join(Histogram(buckets, cumulative) for _, buckets, cumulative in inside)
        latencies[part] = Latencies(histogram, sum(sum_ms for sum_ms, *_ in inside))
    return latencies


def _sum(rows: Sequence[Summary], latencies: Latencies) -> Summary:
    """Return *rows*, of one part, as one of all endpoints together."""
    requests = sum(row.requests for row in rows)
    failures = sum(row.failures for row in rows)
    max_ms = max((row.max_ms for row in rows if row.max_ms is not None), default=None)
    count = latencies.histogram.count
    percentile = partial(_percentile, latencies.histogram, max_ms)
    return replace(
        rows[0],
        name="",
        request_type="",
        requests=requests,
        failures=failures,
        fail_ratio=failures / requests,
        requests_per_s=sum(row.requests_per_s for row in rows),
        mean_ms=latencies.sum_ms / count if count else None,
        p50_ms=percentile(0.5),
        p90_ms=percentile(0.9),
        p95_ms=percentile(0.95),
        p99_ms=percentile(0.99),
        max_ms=max_ms,
        objective_met=None,
        left_out=0,
    )


def _percentile(histogram: Histogram, max_ms: float | None, share: float) -> float | None:
    """As `percentile` in SQL: the bucket of the value with rank ⌈share × n⌉; None without one."""
    if max_ms is None:
        return None
    rank = max(ceil(share * histogram.count), 1)
    return min(histogram.at_rank(rank), max_ms)
