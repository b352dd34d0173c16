"""Components of the service time of those endpoints together that count for a check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil

from swarmscope.runs.compare.intervals import Histogram, join
from swarmscope.runs.component_windows import ComponentWindow
from swarmscope.runs.histogram import CALLS
from swarmscope.runs.model import ComponentSummary


def together(
    found: Iterable[ComponentWindow], like: Sequence[ComponentSummary]
) -> list[ComponentSummary]:
    """Return the figures of all *found* together, by part, over the span of *like*."""
    rows = list(found)
    parts = dict.fromkeys(row.part for row in rows)
    return [_sum(part, [row for row in rows if row.part == part], like[0]) for part in parts]


def _sum(part: str, rows: Sequence[ComponentWindow], like: ComponentSummary) -> ComponentSummary:
    requests, used = sum(row.requests for row in rows), sum(row.used for row in rows)
    max_value = max(row.max for row in rows)
    histogram = join(Histogram(row.buckets or (), row.cumulative or ()) for row in rows)

    def percentile(share: float) -> float:
        rank = max(ceil(share * requests), 1) - (requests - used)
        if rank <= 0:
            return 0.0
        value = min(histogram.at_rank(rank), max_value)
        return float(round(value)) if part in CALLS else value

    return replace(
        like,
        name="",
        request_type="",
        part=part,
        requests=requests,
        used=used,
        mean=sum(row.total for row in rows) / requests,
        p50=percentile(0.5),
        p90=percentile(0.9),
        p95=percentile(0.95),
        p99=percentile(0.99),
        max=max_value,
    )
