"""All looks together cost alpha, and no look costs more than its part."""

from __future__ import annotations

import random
from math import erfc, exp, pi, sqrt

import pytest

from swarmscope.ab.spending import Spending, is_look


def z_of(level: float) -> float:
    """Return what a standard normal exceeds, either way, with chance *level*."""
    low, high = 0.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if erfc(middle / sqrt(2)) > level else (low, middle)
    return low


def test_one_look_costs_alpha() -> None:
    """The usual level, whenever it is."""
    assert Spending(0.05).level(9, 1.0) == pytest.approx(0.05, abs=1e-9)


def test_two_looks_cost_alpha() -> None:
    """By integration over the first look's values, a quarter of the time before the second."""
    spending = Spending(0.05)
    first, second = z_of(spending.level(4, 0.25)), z_of(spending.level(16, 1.0))

    def beyond(z: float) -> float:  # chance of the second, of which the first is a half
        mean, spread = z / 2, sqrt(1 - 1 / 4)
        ends = (second - mean) / spread, (second + mean) / spread
        return sum(erfc(end / sqrt(2)) / 2 for end in ends)

    points = 20_000
    step = 2 * first / points
    grid = (-first + (number + 0.5) * step for number in range(points))
    crossing = sum(step * exp(-z * z / 2) / sqrt(2 * pi) * beyond(z) for z in grid)
    assert erfc(first / sqrt(2)) == pytest.approx(0.05 / 4, abs=1e-6)
    assert crossing == pytest.approx(0.05 * 3 / 4, abs=1e-5)


def test_many_looks_cost_alpha() -> None:
    """Of 20,000 walks, within what chance allows (four standard errors)."""
    looks = [number for number in range(1, 31) if is_look(number)]
    spending = Spending(0.1)
    bounds = {number: z_of(spending.level(number, number / 30)) for number in looks}
    rng = random.Random(7)

    def alarms() -> bool:
        total = 0.0
        for number in range(1, 31):
            total += rng.gauss(0, 1)
            if number in bounds and abs(total) > bounds[number] * sqrt(number):
                return True
        return False

    share = sum(alarms() for _ in range(20_000)) / 20_000
    assert share == pytest.approx(0.1, abs=4 * sqrt(0.1 * 0.9 / 20_000))


def test_looks_become_rarer() -> None:
    """The first after four blocks, then ever further apart."""
    looks = [number for number in range(1, 61) if is_look(number)]

    assert looks[:3] == [4, 5, 6]
    assert looks[-4:] == [46, 50, 55, 60]
