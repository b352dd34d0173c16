"""Turns by blocks A B B A or B A A B, and what a block says of the difference between A and B.

Each block is one observation: the mean of its turns of B less that of its turns of A. What drifts
linearly, or changes slower than a block lasts, cancels in it. The order of each block is drawn by
chance, so where A and B are the same, each observation is as likely to be negative as positive,
however the machine's noise depends on time: the observations are symmetric around zero and, given
the noise, independent. That is all that Student's t needs to alarm as seldom as it should (Efron,
"Student's t-test under symmetry conditions", JASA 64, 1969); a randomised design in blocks is
Fisher's (The Design of Experiments, 1935).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import fmean, stdev

from swarmscope.runs.compare.distributions import t_quantile
from swarmscope.runs.compare.intervals import Estimate

A, B = "A", "B"
ORDERS = ((A, B, B, A), (B, A, A, B))


@dataclass(frozen=True)
class Block:
    """The figure of four turns, in their order."""

    order: Sequence[str]
    values: Sequence[float]

    @property
    def difference(self) -> float:
        """By how much B's are above A's, on average."""
        means = {side: fmean(self.of(side)) for side in (A, B)}
        return means[B] - means[A]

    def of(self, side: str) -> list[float]:
        """Return the values of one side's turns."""
        return [value for at, value in zip(self.order, self.values, strict=True) if at == side]


def estimate(differences: Sequence[float], level: float) -> Estimate:
    """Return the mean of blocks' *differences*, and its interval of confidence 1 − *level*.

    Infinite ends: there are too few to say.
    """
    number = len(differences)
    mean = fmean(differences) if number else 0.0
    if number < 2 or not level:
        return Estimate(mean, -inf, inf)
    width = t_quantile(1 - level / 2, number - 1) * stdev(differences) / sqrt(number)
    return Estimate(mean, mean - width, mean + width)
