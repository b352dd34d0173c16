"""How far a figure of a run is from that of an endless run, estimated from its histograms.

Requests are not independent: those that wait in one queue are slow together. So the spread is not
taken from single requests but from *batches*, spans of time of equal length, and a run counts as
many independent requests as would spread that much.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, expm1, hypot, inf, isinf, log, sqrt
from statistics import fmean

from swarmscope.runs.compare.distributions import normal_quantile, order_statistic, t_quantile
from swarmscope.runs.histogram import GAMMA, estimate

MAX_BATCHES = 20  # Schmeiser, "Batch size effects …", Operations Research 30 (1982): 10 to 30
MIN_BATCHES = 5
MIN_BATCH = 2  # spans
MAX_CORRELATION = 0.9
MIN_FREEDOM = 2.0
MAX_LOGARITHM = 700.0


@dataclass(frozen=True)
class Histogram:
    """Requests by bucket, as SQL's `merged` returns them: *cumulative* up to each bucket.

    *untimed* requests, and some failures, are in no bucket: they have no latency.
    """

    buckets: Sequence[int]
    cumulative: Sequence[float]
    failures: int = 0
    untimed: float = 0.0

    @property
    def count(self) -> float:
        """The number of latencies."""
        return self.cumulative[-1] if self.cumulative else 0.0

    @property
    def lowest(self) -> float:
        """The position below which nothing was."""
        return self.buckets[0] - 1.0

    @property
    def highest(self) -> float:
        """The position above which nothing was."""
        return float(self.buckets[-1])

    @property
    def requests(self) -> float:
        """The number of requests."""
        return self.count + self.untimed

    def position(self, share: float) -> float:
        """Return where the *share* quantile lies on the scale of buckets, inside one by its share.

        Position i is the upper edge of bucket i: γ^i milliseconds.
        """
        rank = share * self.count
        index = min(bisect_left(self.cumulative, rank), len(self.cumulative) - 1)
        before = self.cumulative[index - 1] if index else 0.0
        inside = (rank - before) / (self.cumulative[index] - before)
        return self.buckets[index] - 1 + inside

    def at_rank(self, rank: float) -> float:
        """Return the estimate of the value with *rank*, from 1, in the unit of the values."""
        return estimate(self.buckets[bisect_left(self.cumulative, rank)])

    def below(self, position: float) -> float:
        """Return how many requests lie below a position, a bucket's by its share."""
        index = bisect_left(self.buckets, position)
        before = self.cumulative[index - 1] if index else 0.0
        if index == len(self.buckets):
            return before
        share = max(0.0, position - (self.buckets[index] - 1))
        return before + share * (self.cumulative[index] - before)


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; an end is infinite if the data do not bound it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sample:
    """One endpoint's part in a run: all of it, the same by equal spans of time, and its time."""

    whole: Histogram
    spans: Sequence[Histogram]
    seconds: float

    def quantile(self, share: float, level: float) -> Estimate:
        """Return the logarithm of a quantile (in ms, between the edges of its bucket by its rank).

        Its interval is the wider of two, for each alone is too narrow somewhere: by ranks where
        few congested moments make the tail, by batches where latencies have two humps. Beyond the
        fastest and the slowest request nothing was seen: an end out there is theirs where a rank
        says that they enclose the quantile, else it is infinite.
        """
        position = self.whole.position(share)
        below, above = self._ranks(share, level, position)
        width = self._batches(share, level)
        low = min(end for end in (below, position - width) if end is not None)
        high = max(end for end in (above, position + width) if end is not None)
        if low < self.whole.lowest:
            low = -inf if below is None or isinf(width) else self.whole.lowest
        if high > self.whole.highest:
            high = inf if above is None or isinf(width) else self.whole.highest
        return Estimate(*(log(GAMMA) * at for at in (position, low, high)))

    def _ranks(
        self, share: float, level: float, position: float
    ) -> tuple[float | None, float | None]:
        """Return where the order statistics lie that enclose a quantile with probability *level*.

        They are those of as many independent requests as this sample is worth; None where so few
        have none that is low or high enough (Woodruff, "Confidence intervals for medians and other
        position measures", JASA 47, 1952; the number as in Korn and Graubard, "Confidence intervals
        for proportions …", Survey Methodology 24, 1998).
        """
        excess = [h.below(position) - share * h.count for h in self.spans]
        latencies = [h.count for h in (self.whole, *self.spans)]
        number = self._independent(excess, share, level, latencies)
        tail = (1 - level) / 2
        below, above = (order_statistic(share, number, p) - 0.5 for p in (1 - tail, tail))
        return (
            self.whole.position(below / number) if below > 0 else None,
            self.whole.position(above / number) if above <= number - 0.5 else None,
        )

    def _batches(self, share: float, level: float) -> float:
        """Return half the width of a quantile's interval by how far those of batches are from it.

        Sectioning: batches vary around the quantile of all, not around their own mean (Asmussen and
        Glynn, Stochastic Simulation, III.5; Nakayama, ACM TOMACS 24, 2014).
        """
        if not all(h.count for h in self.spans):
            return inf
        position = self.whole.position(share)
        off = [h.position(share) - position for h in self.spans]
        spread = Spread.of(off, around_zero=True)
        return t_quantile((1 + level) / 2, spread.freedom) * sqrt(spread.variance) / len(off)

    def rate(self, level: float) -> Estimate:
        """Return the logarithm of the requests per second.

        Batch means with Student's t (Law, Simulation Modeling and Analysis, chapter 9), and never
        narrower than by one second's requests: users that pace themselves begin and end together.
        """
        rate, mean = self.whole.requests / self.seconds, fmean(h.requests for h in self.spans)
        spread = Spread.of([h.requests - mean for h in self.spans])
        error = sqrt(spread.variance) / (mean * len(self.spans)) if mean else inf
        width = max(t_quantile((1 + level) / 2, spread.freedom) * error, 1 / self.seconds)
        return Estimate(log(rate), log(rate) - width, log(rate) + width)

    def fail_ratio(self, level: float) -> Estimate:
        """Return the share that failed.

        Wilson's interval (JASA 22, 1927), of as many independent requests as this sample is worth.
        """
        ratio = self.whole.failures / self.whole.requests
        excess = [h.failures - ratio * h.requests for h in self.spans]
        requests = [h.requests for h in (self.whole, *self.spans)]
        number = self._independent(excess, ratio, level, requests)
        z2 = normal_quantile((1 + level) / 2) ** 2
        middle = (ratio + z2 / (2 * number)) / (1 + z2 / number)
        root = sqrt(z2 * ratio * (1 - ratio) / number + (z2 / (2 * number)) ** 2)
        width = root / (1 + z2 / number)
        return Estimate(ratio, max(0.0, middle - width), min(1.0, middle + width))

    @staticmethod
    def _independent(
        excess: Sequence[float], share: float, level: float, counts: Sequence[float]
    ) -> float:
        """Return how many independent requests would spread as the batches do, not more than are.

        *excess* is by how much more than *share* of each batch is in the class that is counted,
        *counts* how many there are of the whole, and of each batch.
        The number is lowered by what Student's t is wider than the normal distribution, for the
        spread of few batches is itself uncertain.
        """
        spread = Spread.of(excess)
        worth, *batches = counts
        counted = sum(batches)
        if spread.variance > 0:
            worth = min(worth, share * (1 - share) * counted**2 / spread.variance)
        tail = (1 + level) / 2
        return float(worth * (normal_quantile(tail) / t_quantile(tail, spread.freedom)) ** 2)


@dataclass(frozen=True)
class Sums:
    """What the requests of a run add up to: all of them, and the same by equal spans of time."""

    total: float
    requests: float
    spans: Sequence[tuple[float, float]]  # total and requests of each

    @property
    def mean(self) -> float:
        """The total per request."""
        return self.total / self.requests

    def estimate(self, level: float) -> Estimate:
        """Return the mean per request.

        Ratio of batch totals with Student's t (Cochran, Sampling Techniques, chapter 6; Law,
        Simulation Modeling and Analysis, chapter 9).
        """
        spread = Spread.of([total - self.mean * requests for total, requests in self.spans])
        counted = sum(requests for _, requests in self.spans)
        error = sqrt(spread.variance) / counted if counted else inf
        width = t_quantile((1 + level) / 2, spread.freedom) * error
        return Estimate(self.mean, max(0.0, self.mean - width), self.mean + width)


@dataclass(frozen=True)
class Spread:
    """The variance of a sum over batches, and with how many degrees of freedom it is known."""

    variance: float
    freedom: float

    @classmethod
    def of(cls, excess: Sequence[float], around_zero: bool = False) -> Spread:
        """Return it for batches whose deviations, from their mean or from zero, are *excess*.

        Batches that still resemble their neighbours are fewer than they seem: with the correlation
        φ of neighbours the variance is (1 + φ) / (1 − φ) times as large, as of an autoregressive
        sequence (Tafazzoli and Wilson, "Skart", IIE Transactions 43, 2011).
        """
        number = len(excess)
        mean = fmean(excess)
        off = [value - mean for value in excess]
        squares = sum(value * value for value in off)
        if not squares:
            factor = 1.0
        else:
            products = sum(one * following for one, following in pairwise(off))
            correlation = min(max(products / squares, 0.0), MAX_CORRELATION)
            factor = (1 + correlation) / (1 - correlation)
        counted = squares + number * mean * mean if around_zero else squares
        freedom = max(number / factor - 1, MIN_FREEDOM)
        return cls(counted * number / (number - 1) * factor, freedom)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return b − a, of independent runs.

    Zou and Donner, "Construction of confidence limits about effect measures", Statistics in
    Medicine 27 (2008): what counts is how wide each interval is on the relevant side.
    """
    change = b.value - a.value
    return Estimate(
        change,
        change - hypot(b.value - b.low, a.high - a.value),
        change + hypot(b.high - b.value, a.value - a.low),
    )


def logarithm(estimate: Estimate) -> Estimate:
    """Return the logarithm of a positive *estimate*."""
    low, value, high = estimate.low, estimate.value, estimate.high
    return Estimate(log(value), log(low) if low else -inf, log(high))


def relative(logarithm: Estimate) -> Estimate:
    """Return the logarithm of a ratio as a change, which is 0 where the ratio is 1."""
    parts = (logarithm.value, logarithm.low, logarithm.high)
    return Estimate(*(expm1(part) if abs(part) < MAX_LOGARITHM else part for part in parts))


def batch_length(number: int) -> int | None:
    """Return how many spans each batch has, of a *number* of them; None if those are too few.

    All batches are of one length, or their counts would differ by that; spans left over at the end
    are in none.
    """
    length = max(MIN_BATCH, ceil(number / MAX_BATCHES))
    return length if number // length >= MIN_BATCHES else None


def join(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of histograms."""
    counts: dict[int, float] = {}
    failures, untimed = 0, 0.0
    for histogram in histograms:
        failures += histogram.failures
        untimed += histogram.untimed
        before = 0.0
        for bucket, up_to in zip(histogram.buckets, histogram.cumulative, strict=True):
            counts[bucket] = counts.get(bucket, 0.0) + up_to - before
            before = up_to
    buckets = sorted(counts)
    cumulative: list[float] = []
    for bucket in buckets:
        cumulative.append((cumulative[-1] if cumulative else 0.0) + counts[bucket])
    return Histogram(buckets, cumulative, failures, untimed)
