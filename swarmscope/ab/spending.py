"""How much doubt each look at a growing sample may cost, so that all looks together cost alpha.

Who looks after every block and stops when there is something to see finds something in far more
than alpha of comparisons in which there is nothing. Here the looks share alpha by a spending
function (Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983)
that is linear in the share of the planned time that is over (Kim and DeMets, Biometrika 74, 1987,
their power family with exponent 1). The number of looks and of blocks need not be known before.

The bounds follow from the joint normal distribution of the means at the looks, by numerical
integration (Armitage, McPherson and Rowe, JRSS A 132, 1969; Jennison and Turnbull, Group Sequential
Methods with Applications to Clinical Trials, 2000, chapter 19). They are returned as levels, for
Student's t to be used where the variance is estimated (there, 4.4). With these levels intervals are
*repeated confidence intervals* (there, chapter 9): they hold jointly at all looks, so they hold
whatever rule ends the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import erfc, exp, pi, sqrt
from statistics import NormalDist

POINTS = 65  # of the grid, odd for Simpson's rule
HALVINGS = 45
FURTHEST = 9.0  # standard deviations; beyond it nothing is left
FIRST_LOOK = 4  # blocks
NEXT_LOOK = 1.1  # times as many blocks


@dataclass
class Spending:
    """The looks at one figure that was planned to cost *alpha* in all."""

    alpha: float
    _density: Sequence[tuple[float, float]] = field(default=(), init=False)  # sum, weight
    _blocks: int = field(default=0, init=False)
    _spent: float = field(default=0.0, init=False)

    def level(self, blocks: int, share: float) -> float:
        """Return the two-sided level of the next look: at *blocks*, *share* of the time is over.

        Both must grow from look to look; *share* is 1 at the last one.
        """
        wanted = self.alpha * min(share, 1.0) - self._spent
        bound = self._bound(blocks, max(wanted, 0.0))
        self._advance(blocks, bound)
        self._spent += max(wanted, 0.0)
        return erfc(bound / sqrt(2 * blocks))

    def _bound(self, blocks: int, wanted: float) -> float:
        """Return what the sum of *blocks* standard normals exceeds first with chance *wanted*."""
        low, high = 0.0, FURTHEST * sqrt(blocks)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self._exceeding(blocks, middle) > wanted:
                low = middle
            else:
                high = middle
        return high

    def _exceeding(self, blocks: int, bound: float) -> float:
        if not self._density:
            return erfc(bound / sqrt(2 * blocks))
        scale = sqrt(2 * (blocks - self._blocks))
        return sum(
            weight * (erfc((bound - at) / scale) + erfc((bound + at) / scale)) / 2
            for at, weight in self._density
        )

    def _advance(self, blocks: int, bound: float) -> None:
        """Keep the distribution of the sums that have not exceeded a bound."""
        normal = NormalDist(0, sqrt(blocks - self._blocks))
        front = 1 / (normal.stdev * sqrt(2 * pi))
        factor = -1 / (2 * normal.variance)
        before = self._density or ((0.0, 1.0),)
        self._density = [
            (at, width * front * sum(w * exp(factor * (at - s) ** 2) for s, w in before))
            for at, width in _simpson(bound)
        ]
        self._blocks = blocks


def _simpson(bound: float) -> Iterator[tuple[float, float]]:
    """Yield the points of Simpson's rule on [-bound, bound] and their weights."""
    step = 2 * bound / (POINTS - 1)
    for number in range(POINTS):
        ends = number in (0, POINTS - 1)
        yield -bound + number * step, step / 3 * (1 if ends else 4 if number % 2 else 2)


def is_look(blocks: int) -> bool:
    """Return whether to look after so many blocks: from the fourth, at ever larger distances."""
    look = FIRST_LOOK
    while look < blocks:
        look = max(look + 1, int(look * NEXT_LOOK))
    return look == blocks
