"""Where a series of figures changed for good: E-divisive.

D. S. Matteson and N. A. James, "A Nonparametric Approach for Multiple Change Point Analysis of
Multivariate Data", Journal of the American Statistical Association 109 (2014), with α = 1, for one
figure a run. It assumes no distribution, so it finds changes of level and of spread alike, and a
single outlier is none. The end of a segment that is parted is the end of the segment to its right,
as in the paper's hierarchical estimation once all earlier change points are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt
from random import Random
from statistics import fmean, variance

from swarmscope.runs.compare.distributions import t_quantile

MIN_SEGMENT = 3  # runs on either side of a change; of fewer nobody knows how much they vary
PERMUTATIONS = 199  # as in the paper's examples
SIGNIFICANCE = 0.05  # the share of series without any change that seem to have one
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Step:
    """A change between the runs *at* − 1 and *at*: means before and after, their difference.

    *low* and *high* bound the difference with 95 % confidence, by what runs varied on either side
    (Welch 1947).
    """

    at: int
    before: float
    after: float
    low: float
    high: float


def change_points(values: Sequence[float], significance: float = SIGNIFICANCE) -> list[int]:
    """Return the indices, ascending, at which a new segment of *values* begins; empty for none.

    *significance* is the share of series without any change that seem to have one, at least 0.005.
    The same values give the same answer.

    >>> change_points([10, 11, 10, 12, 11, 10, 20, 21, 20, 22, 21, 20])
    [6]
    """
    random, cuts = Random(0), [0, len(values)]
    while True:
        parts = [values[a:b] for a, b in pairwise(cuts)]
        splits = [_split(part) for part in parts]
        best = max(range(len(parts)), key=lambda number: splits[number][0])
        statistic, place = splits[best]
        if place == 0 or _chance(parts, statistic, random) > significance:
            return cuts[1:-1]
        cuts = sorted({*cuts, cuts[best] + place})


def _chance(parts: Sequence[Sequence[float]], statistic: float, random: Random) -> float:
    """Return how likely a split is at least as good in segments whose order means nothing."""
    reached = 0
    for _ in range(PERMUTATIONS):
        shuffled = (random.sample(part, len(part)) for part in parts)
        reached += max(_split(part)[0] for part in shuffled) >= statistic
    return (1 + reached) / (1 + PERMUTATIONS)


def _split(values: Sequence[float]) -> tuple[float, int]:
    """Return the best split's statistic and place, (0, 0) where there is none.

    The statistic is the paper's Q̂, mn/(m+n) times the energy distance of both sides. Sums of
    distances are kept up as one value after another changes sides.
    """
    size, best = len(values), (0.0, 0)
    to_left = [sum(abs(value - other) for other in values[:at]) for at, value in enumerate(values)]
    to_right = [
        sum(abs(value - other) for other in values[at + 1 :]) for at, value in enumerate(values)
    ]
    total = sum(to_left)
    left, right = 0.0, total
    for m in range(1, size - MIN_SEGMENT + 1):
        left += to_left[m - 1]
        right -= to_right[m - 1]
        n = size - m
        if m < MIN_SEGMENT:
            continue
        across = 2 * (total - left - right) / (m * n)
        within = 2 * left / (m * (m - 1)) + 2 * right / (n * (n - 1))
        best = max(best, (m * n / (m + n) * (across - within), m))
    return best


def segments(values: Sequence[float], significance: float = SIGNIFICANCE) -> list[Sequence[float]]:
    """Return *values* parted at their change points, in order; one empty segment for none."""
    places = [0, *change_points(values, significance), len(values)]
    return [values[a:b] for a, b in pairwise(places)]


def steps(parts: Sequence[Sequence[float]]) -> list[Step]:
    """Return the changes between the segments *parts*, in order."""
    ends = accumulate(len(part) for part in parts)
    return [_step(a, b, at) for (a, b), at in zip(pairwise(parts), ends, strict=False)]


def _step(before: Sequence[float], after: Sequence[float], at: int) -> Step:
    means, shares = [fmean(before), fmean(after)], []
    for side in (before, after):
        shares.append(variance(side) / len(side))
    spread = sum(shares)
    if spread == 0:
        width = 0.0
    else:
        freedom = spread**2 / sum(
            share**2 / (len(side) - 1) for share, side in zip(shares, (before, after), strict=True)
        )
        width = t_quantile((1 + CONFIDENCE) / 2, freedom) * sqrt(spread)
    change = means[1] - means[0]
    return Step(at, means[0], means[1], change - width, change + width)


def spread(parts: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation of values around the mean of their segment; None: too few.

    It is how much a figure differs from run to run although nothing changed.
    """
    freedom = sum(map(len, parts)) - len(parts)
    if freedom < MIN_SEGMENT - 1:
        return None
    squares = sum((value - fmean(part)) ** 2 for part in parts for value in part)
    return sqrt(squares / freedom)
