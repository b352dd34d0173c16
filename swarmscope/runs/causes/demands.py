"""Service demands and ceilings: how long a request holds a place, and how many requests fit.

With X the throughput and U the mean number of places in use, a request holds a place for D = U ÷ X
(the *service demand*), and no more than m ÷ D requests per second can pass m places: the
utilisation law (Denning and Buzen, "The operational analysis of queueing network models", Computing
Surveys 10, 1978). X is that of the services that the swarm drives, whatever the resource, so that
all ceilings are in the swarm's own requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import floor, isfinite
from statistics import fmean

from swarmscope.runs.compare.intervals import Sums, batch_length
from swarmscope.runs.document import ResourceFigures, RouteHold
from swarmscope.runs.resources.model import QUOTA, Points, ResourceKey, Usage
from swarmscope.runs.server_series import MIN_WINDOW_S, Capture
from swarmscope.runs.services import TARGET

CONFIDENCE = 0.95
REACHED = 0.7  # of any resource's places: below, ceilings are forecasts
MAX_ROUTES = 5
MIN_RANGE = 2.0  # by which load must differ before others' CPU is taken to follow it
MIN_FIT = 0.5  # share of the variance of others' CPU that the load has to explain
CPU = ("cpu", "generator_cpu")
# a lock that nobody waits for is not seen: see `database.database_series`
MIN_FREE = 0.5  # of the cores: where others want more, the scheduler's shares decide
UNLIMITED = (  # held by processes, not by requests
    "memory", "files", "ports", "backlog", "database_connections",
)  # fmt: skip


def demands(capture: Capture, points: Sequence[int], level: int = 0) -> list[ResourceFigures]:
    """Return the figures of each resource at *points* of the axis, the lowest ceiling first.

    *level* is that of the routes' demands, 0 the whole run.
    """
    load = Load(capture)
    found = [figures_of(load, key, points, level) for key in capture.resources]
    return marked(figures for figures in found if figures.used is not None)


def marked(found: Iterable[ResourceFigures]) -> list[ResourceFigures]:
    """Return figures in the order of their ceilings, all marked as forecasts if none was full."""
    listed = list(found)
    highest = max((one.utilisation or 0.0 for one in listed if one.ceiling_per_s), default=0.0)
    listed = [
        replace(one, forecast=bool(one.ceiling_per_s) and highest < REACHED) for one in listed
    ]
    return sorted(listed, key=_order)


def _order(figures: ResourceFigures) -> tuple[float, float, str, str, str]:
    utilisation = figures.utilisation or 0.0
    ceiling = figures.ceiling_per_s or float("inf")
    return ceiling, -utilisation, figures.service or "", figures.kind, figures.detail


@dataclass(frozen=True)
class Load:
    """A capture, and how many requests per second the swarm's targets had."""

    capture: Capture

    @cached_property
    def rates(self) -> Points:
        """The requests per second of the targets, or else of the first service, at each point."""
        found = targets(self.capture)
        series = [self.capture.series.get((job, "requests_per_s"), []) for job in found]
        return [total(values) for values in zip(*(one for one in series if one), strict=False)]

    def series(self, job: str, name: str) -> Points:
        """Return a quantity of a service; nothing where it is not known."""
        return self.capture.series.get((job, name), [])

    def own(self, key: ResourceKey, usage: Usage) -> tuple[Points, Points]:
        """Return what this service used of a CPU, and what others did."""
        names = ["cpu_others_cores"] + ([] if key.detail == QUOTA else ["cpu_steal_cores"])
        found = [self.series(key.job, name) for name in names]
        if not found[0]:
            return usage.used, []
        others = [total(values) for values in zip(*(one for one in found if one), strict=False)]
        own = [less(used, other) for used, other in zip(usage.used, others, strict=False)]
        return own, others

    def waits_inside(self, key: ResourceKey) -> Points:
        """Return how many of those who hold a place of *key* wait for one of another resource.

        Workers wait for a connection of a pool; they and their connection wait for a row lock.
        """
        pools = [
            (other, usage.waiting)
            for other, usage in self.capture.resources.items()
            if (other.job, other.kind) == (key.job, "pool")
        ]
        waiting = [points for _, points in pools] if key.kind == "workers" else []
        is_only_pool = [other for other, _ in pools] == [key]
        if [key.job] == targets(self.capture) and (key.kind == "workers" or is_only_pool):
            waiting += [
                self._over_window(usage.waiting)
                for other, usage in self.capture.resources.items()
                if other.kind == "database_lock"
            ]
        return [total(values) or 0.0 for values in zip(*waiting, strict=False)]

    def _over_window(self, sampled: Points) -> Points:
        """Return means over the window that rates have, which what is *sampled* has not."""
        half = floor(MIN_WINDOW_S / self.capture.step_s / 2)
        return [
            mean(sampled, range(max(at - half, 0), at + half + 1)) for at in range(len(sampled))
        ]


def targets(capture: Capture) -> list[str]:
    """Return the services that the swarm drives, or else the first one."""
    jobs = [service.name for service in capture.services if service.role == TARGET]
    return jobs or [service.name for service in capture.services[:1]]


def figures_of(load: Load, key: ResourceKey, points: Sequence[int], level: int) -> ResourceFigures:
    """Return the figures of one resource at *points*; those of an unmeasured one are None."""
    usage = load.capture.resources.get(key) or Usage([], [], [])
    places, used = (mean(one, points) for one in (usage.places, usage.used))
    own, others = load.own(key, usage) if key.kind in CPU else (usage.used, [])
    utilisation = used / places if used is not None and places else None
    figures = ResourceFigures(
        service=key.job or None,
        kind=key.kind,
        detail=key.detail,
        words=key.words,
        places=places,
        others=mean(others, points),
        used=used,
        utilisation=utilisation,
        waiting=mean(usage.waiting, points),
        demand_ms=None,
        ceiling_per_s=None,
        ceiling_low_per_s=None,
        ceiling_high_per_s=None,
        forecast=False,
        routes=_routes(load.capture, key, level),
    )
    unseen = key.kind == "database_lock" and (utilisation or 0.0) < REACHED
    return (
        figures
        if unseen or key.kind in UNLIMITED
        else _with_ceiling(load, key, figures, own, points)
    )


def _with_ceiling(
    load: Load, key: ResourceKey, figures: ResourceFigures, own: Points, points: Sequence[int]
) -> ResourceFigures:
    pairs = together(own, load.rates, points)
    rate = sum(x for _, x in pairs)
    if not rate or not sum(used for used, _ in pairs):
        return figures
    demand = sum(used for used, _ in pairs) / rate
    held = replace(figures, demand_ms=1000 * demand)
    if not figures.places:
        return held
    fixed, growing = _of_others(load, key, figures, points)
    free = figures.places - fixed
    waits = together(load.waits_inside(key), load.rates, points)
    inside = sum(number for number, _ in waits) / sum(x for _, x in waits) if waits else 0.0
    needed = max(demand - inside, 0.0) + growing
    if free < MIN_FREE * figures.places or needed <= 0:
        return held
    low, high = _interval(pairs)
    return replace(
        held,
        ceiling_per_s=free / needed,
        ceiling_low_per_s=free / needed / high if high else None,
        ceiling_high_per_s=free / needed / low if low else None,
    )


def _of_others(
    load: Load, key: ResourceKey, figures: ResourceFigures, points: Sequence[int]
) -> tuple[float, float]:
    """Return the cores that others use whatever the load, and those they use per request/s.

    A database or a load generator on the same machine needs more as the load rises: where the load
    varied enough, a straight line through all points of the run tells how much.
    """
    if figures.others is None:
        return 0.0, 0.0
    _, others = load.own(key, load.capture.resources[key])
    pairs = together(others, load.rates, range(len(others)))
    rates = [x for _, x in pairs if x > 0]
    if len(rates) < 10 or max(rates) < MIN_RANGE * min(rates):
        return figures.others, 0.0
    slope = _slope([(x, used) for used, x in pairs])
    rate = mean(load.rates, points) or 0.0
    fixed = figures.others - slope * rate
    return (fixed, slope) if slope > 0 and fixed >= 0 else (figures.others, 0.0)


def _slope(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line of least squares; 0 where it explains too little."""
    x_mean, y_mean = fmean(x for x, _ in pairs), fmean(y for _, y in pairs)
    xx = sum((x - x_mean) ** 2 for x, _ in pairs)
    yy = sum((y - y_mean) ** 2 for _, y in pairs)
    xy = sum((x - x_mean) * (y - y_mean) for x, y in pairs)
    return xy / xx if xx and yy and xy * xy >= MIN_FIT * xx * yy else 0.0


def _interval(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    """Return a demand's confidence interval as factors of it, from equal batches of time.

    See `Sums.estimate` for the source.
    """
    length = batch_length(len(pairs))
    if length is None:
        return None, None
    batches = [pairs[at : at + length] for at in range(0, len(pairs) - length + 1, length)]
    spans = [(sum(used for used, _ in batch), sum(x for _, x in batch)) for batch in batches]
    whole = (sum(used for used, _ in pairs), sum(x for _, x in pairs))
    found = Sums(*whole, spans).estimate(CONFIDENCE)
    ends = found.low / found.value, found.high / found.value
    return tuple(end if end > 0 and isfinite(end) else None for end in ends)  # type: ignore[return-value]


def _routes(capture: Capture, key: ResourceKey, level: int) -> list[RouteHold]:
    """Return how long requests of each route held places, those that held most first."""
    own = [
        d for d in capture.demands if (d.job, d.kind, d.detail) == (key.job, key.kind, key.detail)
    ]
    rows = [d for d in own if d.level == level] or [d for d in own if d.level == 0]
    whole = sum(row.held_s for row in rows)
    return [
        RouteHold(
            route=row.route,
            held_ms=1000 * row.held_s / row.requests,
            share=row.held_s / whole,
        )
        for row in sorted(rows, key=lambda row: -row.held_s)[:MAX_ROUTES]
        if row.requests and whole
    ]


def mean(values: Points, points: Iterable[int]) -> float | None:
    """Return the mean of what is known at *points*."""
    known = [values[at] for at in points if at < len(values)]
    numbers = [value for value in known if value is not None]
    return fmean(numbers) if numbers else None


def together(one: Points, other: Points, points: Iterable[int]) -> list[tuple[float, float]]:
    """Return the pairs of values at *points* where both are known."""
    pairs = ((one[at], other[at]) for at in points if at < min(len(one), len(other)))
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def less(whole: float | None, part: float | None) -> float | None:
    """Return the difference, never below 0; None where either is not known."""
    return None if whole is None or part is None else max(whole - part, 0.0)
