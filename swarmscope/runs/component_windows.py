"""Histograms of the components of service time, and figures of several endpoints together.

Shippers store no zeros: of *requests*, only *used* have a value; the others count as 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from psycopg.rows import class_row

from swarmscope.runs.compare.intervals import Histogram, join
from swarmscope.runs.connection import Connection
from swarmscope.runs.histogram import CALLS, estimate
from swarmscope.runs.model import ComponentSummary
from swarmscope.runs.selection import Endpoint


@dataclass(frozen=True)
class ComponentWindow:
    """A row of SQL's `component_windows`; in ms, of `db_calls` and the like in numbers."""

    time: datetime
    name: str
    request_type: str
    part: str
    requests: int
    used: int
    total: float
    max: float
    buckets: list[int] | None
    cumulative: list[float] | None

    @property
    def endpoint(self) -> Endpoint:
        """Its name and request type."""
        return self.name, self.request_type


def windows(
    connection: Connection,
    run_id: datetime,
    since: datetime,
    until: datetime,
    width_s: int | None = None,
    names: Sequence[str] | None = None,
) -> list[ComponentWindow]:
    """Return the windows of all endpoints, or of *names*; without *width_s*, one of each."""
    query = "SELECT * FROM component_windows(%s, %s, %s, %s, %s)"
    values = [run_id, since, until, width_s, None if names is None else list(names)]
    with connection.cursor(row_factory=class_row(ComponentWindow)) as cursor:
        return cursor.execute(query, values).fetchall()


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
        value = estimate(histogram.buckets[bisect_left(histogram.cumulative, rank)])
        return float(round(min(value, max_value))) if part in CALLS else min(value, max_value)

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
