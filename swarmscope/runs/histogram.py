"""The log-bucketed histogram of latencies: the bucket of a value, the value of a bucket.

Bucket ``i`` holds the values in (γ^(i−1), γ^i] milliseconds. With γ = (1 + α) / (1 − α) the
estimate 2γ^i / (γ + 1) is within the relative error α of every value in it (DDSketch: Masson, Rim
and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
VLDB 2019).
The SQL of `runs.schema` has the same estimate; a test compares the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil, inf, isfinite, log, nextafter

RELATIVE_ERROR = 0.025
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
BUCKETS_PER_E = 1 / log(GAMMA)  # buckets in which a value grows by the factor e

MIN_MS = 0.001
MAX_MS = 3_600_000.0
LOWEST = ceil(log(MIN_MS) * BUCKETS_PER_E)
HIGHEST = ceil(log(MAX_MS) * BUCKETS_PER_E)
MANY = 64  # values, from which on sorting them takes less than a logarithm of each

RESOLUTIONS_S = (1, 10, 60)
PARTS = ("response", "queue", "service", "receiving", "outside", "uncorrected")
COMPONENTS = ("cpu", "db", "pool", "http", "cache", "other")  # of service, disjoint; see `summary`
CALLS = ("db_calls", "http_calls", "cache_calls")  # numbers of a request's calls, not milliseconds


def bucket(ms: float) -> int:
    """Return the bucket of *ms* milliseconds; beyond 1 µs and one hour, the outermost ones.

    A loop over many samples may inline this: ``ceil(log(ms) * BUCKETS_PER_E)`` holds for all values
    between `MIN_MS` and `MAX_MS`. Not-a-number raises ValueError.
    """
    if ms <= MIN_MS:
        return LOWEST
    if ms >= MAX_MS:
        return HIGHEST
    return ceil(log(ms) * BUCKETS_PER_E)


def estimate(bucket: int) -> float:
    """Return the milliseconds that represent all values of *bucket*, at most 2.5 % off."""
    return float(2 * GAMMA**bucket / (GAMMA + 1))


@dataclass(slots=True)
class Window:
    """Requests and their latencies added up.

    `counts` maps buckets to the number of latencies in them: a request without a usable time is in
    `count`, and perhaps in `failures`, only.
    """

    count: int = 0
    failures: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0
    counts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        count: int,
        failures: int,
        sum_ms: float,
        max_ms: float,
        buckets: list[int],
        counts: list[int],
    ) -> Window:
        """Return the window that a row of the database holds."""
        return cls(count, failures, sum_ms, max_ms, dict(zip(buckets, counts, strict=True)))

    def add(self, other: Window) -> None:
        """Add what *other* holds."""
        self.count += other.count
        self.failures += other.failures
        self.sum_ms += other.sum_ms
        self.max_ms = max(self.max_ms, other.max_ms)
        counts = self.counts
        if not counts:
            self.counts = dict(other.counts)
            return
        number_of = counts.get
        for bucket, count in other.counts.items():
            counts[bucket] = number_of(bucket, 0) + count


def window_of_numbers(numbers: Sequence[int]) -> Window:
    """Return the window of *numbers* of calls: few differ, so each is looked up once."""
    counts: Counter[int] = Counter()
    for number, count in Counter(numbers).items():
        counts[bucket(number)] += count
    return Window(len(numbers), 0, float(sum(numbers)), float(max(numbers)), counts)


def window_of(values_ms: Sequence[float], failures: int, untimed: int = 0) -> Window:
    """Return the window of requests that took *values_ms*, and of *untimed* without a time.

    Values that are not finite count as 0.
    """
    if not values_ms:
        return Window(untimed, failures)
    total = sum(values_ms)
    if not isfinite(total):
        return window_of([ms if isfinite(ms) else 0.0 for ms in values_ms], failures, untimed)
    ordered = sorted(values_ms)
    if len(ordered) >= MANY:
        counts = _counts_of_many(ordered)
    elif ordered[0] > MIN_MS and ordered[-1] < MAX_MS:
        counts = Counter([ceil(log(ms) * BUCKETS_PER_E) for ms in ordered])
    else:
        counts = Counter(map(bucket, ordered))
    return Window(len(ordered) + untimed, failures, total, ordered[-1], counts)


def _counts_of_many(ordered: list[float]) -> dict[int, int]:
    """Return how many of the values, in ascending order, each bucket holds."""
    edges, begin, counts = _edges(), 0, {}
    for number in range(bucket(ordered[0]), bucket(ordered[-1])):
        end = bisect_right(ordered, edges[number - LOWEST], begin)
        if end > begin:
            counts[number] = end - begin
            begin = end
    counts[bucket(ordered[-1])] = len(ordered) - begin
    return counts


@cache
def _edges() -> list[float]:
    """Return the highest value of each bucket but the last, exactly as `bucket` divides them."""
    return [_edge(number) for number in range(LOWEST, HIGHEST)]


def _edge(number: int) -> float:
    edge = GAMMA**number
    while bucket(edge) > number:
        edge = nextafter(edge, 0.0)
    while bucket(following := nextafter(edge, inf)) <= number:
        edge = following
    return edge
