"""Both sides of a comparison as one service saw them: what grew, what was full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from swarmscope.runs.causes.demands import Load, mean, targets, together
from swarmscope.runs.resources.model import ResourceKey, Usage
from swarmscope.runs.server_series import Capture

FULL = 0.9  # of the places are in use: waiting grows without bound as this approaches 1
NEARLY_FULL = 0.7  # with a queue that is never empty, which short holds do not show
QUEUED = 0.5  # requests that wait per place, for a queue that is never empty
GREW = 1.5  # times as long: what took about as long as before did not break the run
MIN_SHARE = 0.2  # of the growth that a cause accounts for
MIN_MS = 1.0  # of growth
AS_FULL = 0.95  # of what is used and waited for, where the load broke
OUTSIDE = ("outside", "receiving", "start_delay")


@dataclass(frozen=True)
class Side:
    """The load that held, or the one that broke: its points of the axis, and the client's means.

    *parts* are means in ms: `response`, `queue`, `service`, `outside`, …, and the components of the
    service time, as far as each is known. Those of the load that held are of the mix of requests of
    the one that broke. *level* is that of the run's shape, 0 where it had none.
    """

    points: Sequence[int]
    parts: Mapping[str, float] = field(default_factory=dict)
    requests_per_s: float | None = None
    level: int = 0
    spans: Sequence[tuple[datetime, datetime]] = ()


def weighted(load: Load, job: str, name: str, points: Sequence[int]) -> float | None:
    """Return the mean per request of a quantity of a service at *points*."""
    pairs = together(load.series(job, name), load.series(job, "requests_per_s"), points)
    requests = sum(rate for _, rate in pairs)
    return sum(ms * rate for ms, rate in pairs) / requests if requests else None


@dataclass(frozen=True)
class Ends:
    """Both sides as one service (*job*; "": the client) saw them."""

    load: Load
    job: str
    held: Side | None
    broke: Side

    @property
    def capture(self) -> Capture:
        return self.load.capture

    @cached_property
    def is_sole_target(self) -> bool:
        """Whether what the client measured is what this service did."""
        return self.job == "" or [self.job] == targets(self.capture)

    def after(self, part: str) -> float | None:
        """Return the mean of a part at the load that broke, in ms."""
        return self._mean(part, self.broke)

    def before(self, part: str) -> float | None:
        """Return the same at the load that held."""
        return self._mean(part, self.held) if self.held else None

    def growth(self, part: str) -> float:
        """Return by how many ms a part grew; where nothing held, what was pure waiting."""
        after = self.after(part)
        if after is None:
            return 0.0
        if self.held is None:
            return after if part in ("queue", "pool", "run_delay", "start_delay") else 0.0
        before = self.before(part)
        return 0.0 if before is None else max(after - before, 0.0)

    def grew(self, part: str) -> bool:
        """Return whether a part took much longer than before."""
        before, after = self.before(part), self.after(part)
        return before is not None and after is not None and after >= GREW * before

    @cached_property
    def service_growth(self) -> float:
        """By how many ms the service time grew."""
        return max(self.growth("service"), self.growth("pool"))

    @cached_property
    def queue_growth(self) -> float:
        """By how many ms the queue grew; requests without our start header show it as a rest."""
        if self.after("queue") is not None or self.job:
            return self.growth("queue")
        known = sum(self.growth(part) for part in ("service", *OUTSIDE))
        return max(self.growth("response") - known, 0.0)

    @cached_property
    def service_side(self) -> float:
        """By how many ms queue and service time grew."""
        return self.service_growth + self.queue_growth

    @cached_property
    def is_slower_inside(self) -> bool:
        """Whether requests took much longer once they had a worker, not only to get one.

        The queue may have grown even more where workers became full only because of that.
        """
        longer = self.held is None or self.grew("service") or self.grew("pool")
        least = MIN_SHARE * max(self.service_side, MIN_MS)
        return longer and (self.service_growth >= least or self._are_full_of_waiting)

    @property
    def _are_full_of_waiting(self) -> bool:
        """Whether workers would not be full if requests took as long as where it held."""
        before = self.before("service")
        return before is not None and any(
            before * self.rate / 1000 < NEARLY_FULL * workers.places
            for workers in self.places("workers")
        )

    @cached_property
    def whole(self) -> float:
        """By how many ms all parts grew."""
        return self.service_side + sum(self.growth(part) for part in OUTSIDE)

    @cached_property
    def rate(self) -> float:
        """The service's requests per second at the load that broke."""
        job = self.job or next(iter(targets(self.capture)), "")
        found = mean(self.load.series(job, "requests_per_s"), self.broke.points)
        return found or self.broke.requests_per_s or 0.0

    def number(self, part: str) -> float:
        """Return how many requests were in a part at once, by Little's law."""
        return (self.after(part) or 0.0) * self.rate / 1000

    def _mean(self, part: str, side: Side) -> float | None:
        if self.is_sole_target and part in side.parts:
            return side.parts[part]
        names = {"queue": "queue_mean_ms", "service": "mean_ms", "run_delay": "run_delay_ms"}
        return weighted(self.load, self.job, names.get(part, f"part_{part}_ms"), side.points)

    def series(self, name: str) -> float | None:
        """Return the mean of a quantity of the service at the load that broke."""
        return mean(self.load.series(self.job, name), self.broke.points)

    def places(self, kind: str) -> list[Places]:
        """Return the resources of a kind at the load that broke, the fullest first."""
        found = [
            Places.of(key, usage, self.broke.points)
            for key, usage in self.capture.resources.items()
            if key.job == self.job and key.kind == kind
        ]
        return sorted(found, key=lambda one: -one.utilisation)

    def was_as_full(self, one: Places) -> bool:
        """Return whether as much was used and waited for where it held: it broke nothing."""
        if self.held is None:
            return False
        before = Places.of(one.key, self.capture.resources[one.key], self.held.points)
        return before.used + before.waiting >= AS_FULL * (one.used + one.waiting)

    def run_of(self, kind: str) -> list[Places]:
        """Return the run's own resources of a kind, such as those of databases."""
        return replace(self, job="").places(kind)


@dataclass(frozen=True)
class Places:
    """One resource at the load that broke; what is not known is 0."""

    key: ResourceKey
    places: float
    used: float
    waiting: float

    @classmethod
    def of(cls, key: ResourceKey, usage: Usage, points: Sequence[int]) -> Places:
        """Return the means at *points*, without those at which it had no places: a restart."""
        there = [at for at in points if at >= len(usage.places) or usage.places[at] != 0]
        found = (mean(one, there) or 0.0 for one in (usage.places, usage.used, usage.waiting))
        return cls(key, *found)

    @property
    def utilisation(self) -> float:
        return self.used / self.places if self.places else 0.0

    @property
    def is_full(self) -> bool:
        return self.utilisation >= FULL

    @property
    def is_full_or_delayed(self) -> bool:
        """Whether processes use all of a core, or would if they were let run a little more."""
        wanted = self.used + self.waiting >= FULL * self.places
        return self.is_full or (self.utilisation >= NEARLY_FULL and wanted)

    @property
    def is_full_or_queued(self) -> bool:
        """Whether it is full, or there is always somebody who waits."""
        queued = self.waiting >= max(1.0, QUEUED * self.places)
        return self.is_full or (self.utilisation >= NEARLY_FULL and queued)
