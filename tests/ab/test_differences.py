"""What a block says, and how seldom blocks say something that is not so."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from math import inf

import pytest

from swarmscope.ab.differences import ORDERS, A, B, Block, estimate
from swarmscope.ab.spending import Spending, is_look

BLOCKS = 12
LOOKS = [number for number in range(1, BLOCKS + 1) if is_look(number)]
TRIALS = 1_000


def test_linear_drift_cancels() -> None:
    """In either order."""
    for order in ORDERS:
        values = [10.0 + 3 * at + (0.5 if side == B else 0.0) for at, side in enumerate(order)]
        assert Block(order, values).difference == pytest.approx(0.5)


def test_an_interval_is_student_s() -> None:
    """Of 1 to 5: mean 3, standard error 0.7071; t of 4 degrees at 97.5 % is 2.7764."""
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0], 0.05)

    assert (found.low, found.value, found.high) == pytest.approx((1.0368, 3, 4.9632), abs=1e-4)


def test_one_block_bounds_nothing() -> None:
    """Nor do any at a level of nothing."""
    assert (estimate([1.0], 0.05).low, estimate([1.0, 2.0], 0.0).high) == (-inf, inf)


def _steady(rng: random.Random) -> Iterator[float]:
    while True:
        yield rng.gauss(0, 1)


def _lasting(rng: random.Random) -> Iterator[float]:
    """Yield noise that resembles its neighbours, as of a machine that others use."""
    value = 0.0
    while True:
        value = 0.9 * value + rng.gauss(0, 1)
        yield value


def _drifting(rng: random.Random) -> Iterator[float]:
    """Yield noise around a line, with a step halfway, as of a clock that is throttled."""
    for number, value in enumerate(_lasting(rng)):
        yield value + 0.1 * number + (5 if number > 2 * BLOCKS else 0)


def _bursting(rng: random.Random) -> Iterator[float]:
    """Yield noise with outliers: a neighbour's busy minute."""
    for value in _steady(rng):
        yield value + (abs(rng.gauss(0, 10)) if rng.random() < 0.1 else 0)


Noise = Callable[[random.Random], Iterator[float]]


def _alarms(noise: Noise, effect: float) -> float:
    """Return the share of trials that find a difference at one of the looks."""
    spending, rng = Spending(0.05), random.Random(11)
    levels = {number: spending.level(number, number / BLOCKS) for number in LOOKS}

    def alarm() -> bool:
        values, differences = noise(rng), []
        for number in range(1, BLOCKS + 1):
            order = rng.choice(ORDERS)
            block = Block(order, [next(values) + effect * (side != A) for side in order])
            differences.append(block.difference)
            if number in levels:
                found = estimate(differences, levels[number])
                if found.low > 0 or found.high < 0:
                    return True
        return False

    return sum(alarm() for _ in range(TRIALS)) / TRIALS


@pytest.mark.parametrize("noise", [_steady, _lasting, _drifting, _bursting])
def test_alarms_are_as_rare_as_stated(noise: Noise) -> None:
    """At most 5 % with nine looks, whatever the noise; 0.07 is three standard errors above."""
    assert _alarms(noise, 0.0) < 0.07


@pytest.mark.parametrize("noise", [_steady, _lasting])
def test_a_difference_is_found(noise: Noise) -> None:
    """One of two standard deviations of a turn, in nearly every trial."""
    assert _alarms(noise, 2.0) > 0.95
