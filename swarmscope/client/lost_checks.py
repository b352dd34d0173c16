"""Which thresholds a run can no longer meet, whatever its remaining requests are like.

From what Locust counted so far, and a bound on how many requests are still to come.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from locust.stats import StatsEntry

from swarmscope.runs.histogram import RELATIVE_ERROR
from swarmscope.runs.thresholds import METRICS, Threshold

RATE_S = 6.0  # over which rates are taken: workers report every 3 s
MARGIN = 2.0  # by which the rate may still exceed the highest one so far
DECIDABLE = ("rps", "fail-ratio", "avg-response-time", "p50", "p95", "p99")


@dataclass(frozen=True)
class Counts:
    """Requests that have finished; *times* is how many took so many ms, as Locust rounds them."""

    requests: int = 0
    failures: int = 0
    timed: int = 0
    total_ms: float = 0.0
    times: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[StatsEntry]) -> Counts:
        """Add up Locust's *entries*."""
        chosen = list(entries)
        times: Counter[int] = Counter()
        for entry in chosen:
            times.update(entry.response_times)
        requests = sum(entry.num_requests for entry in chosen)
        return cls(
            requests,
            sum(entry.num_failures for entry in chosen),
            requests - sum(entry.num_none_requests for entry in chosen),
            sum(entry.total_response_time for entry in chosen),
            times,
        )

    def since(self, before: Counts) -> Counts:
        """Return what has finished since *before*."""
        times = {ms: number - before.times.get(ms, 0) for ms, number in self.times.items()}
        return Counts(
            self.requests - before.requests,
            self.failures - before.failures,
            self.timed - before.timed,
            self.total_ms - before.total_ms,
            times,
        )

    def slower(self, limit_ms: float) -> int:
        """Return how many certainly took longer, although their times are rounded."""
        bound = limit_ms * (1 + RELATIVE_ERROR)
        return sum(number for ms, number in self.times.items() if ms - _half_step(ms) > bound)


def _half_step(ms: int) -> float:
    """Return by how much Locust may have rounded up to *ms*: it keeps two digits."""
    return 10.0 ** max(len(str(ms)) - 2, 0) / 2


def is_lost(threshold: Threshold, counts: Counts, more: float, length_s: float) -> bool:
    """Return whether *threshold* is exceeded even if *more* requests all come out well.

    *length_s* is what the run lasts in all. Requests too few to be judged by lose nothing.
    """
    metric, limit = METRICS[threshold.metric], threshold.limit
    if threshold.metric == "rps":
        return counts.requests + more < limit * length_s
    if threshold.metric == "fail-ratio":
        return counts.failures > limit * (counts.requests + more)
    if threshold.metric == "avg-response-time":
        return counts.total_ms > limit * (counts.timed + more)
    if counts.timed < metric.requests_needed(limit) or metric.quantile is None:
        return False
    return counts.slower(limit) > (1 - metric.quantile) * (counts.timed + more)


class Rate:
    """The highest rate at which requests finished, over `RATE_S` and longer."""

    def __init__(self) -> None:
        self.highest_per_s = 0.0
        self._past: deque[tuple[float, int]] = deque()

    def note(self, now: float, requests: int) -> None:
        """Note how many have finished in all by *now*, in s."""
        self._past.append((now, requests))
        while len(self._past) > 2 and self._past[1][0] <= now - RATE_S:
            self._past.popleft()
        then, before = self._past[0]
        if now - then >= RATE_S:
            self.highest_per_s = max(self.highest_per_s, (requests - before) / (now - then))

    def bound(self, seconds: float) -> float:
        """Return how many requests *seconds* may still bring at most."""
        return MARGIN * self.highest_per_s * (max(seconds, 0.0) + RATE_S)
