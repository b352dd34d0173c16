"""Changes for good are found at their run, and none where nothing changed."""

from __future__ import annotations

from random import Random

import pytest

from swarmscope.runs.trend.change_points import Step, change_points, segments, spread, steps


def noise(seed: int, number: int, mean: float = 100.0, sd: float = 3.0) -> list[float]:
    random = Random(seed)
    return [random.gauss(mean, sd) for _ in range(number)]


def test_a_step_is_found_at_its_run():
    """Of five standard deviations: never missed, at most one run off, and seldom with another."""
    found = [change_points(noise(seed, 20) + noise(seed + 100, 20, 115)) for seed in range(20)]
    assert all(any(abs(at - 20) <= 1 for at in each) for each in found)
    assert sum(len(each) > 1 for each in found) <= 3  # 98 % of the time, of 5 % each


def test_several_changes_are_found():
    """Up, further up, and back."""
    values = noise(1, 15) + noise(2, 15, 120) + noise(3, 15, 150) + noise(4, 15, 100)
    found = change_points(values)
    assert [round(at / 15) for at in found] == [1, 2, 3]
    assert all(abs(at - 15 * n) <= 1 for n, at in enumerate(found, 1))


def test_a_change_of_spread_is_found():
    """The mean stays; runs begin to differ from one another."""
    (found,) = change_points(noise(5, 30, sd=1) + noise(6, 30, sd=15))
    assert abs(found - 30) <= 5


def test_a_slope_is_not_taken_for_nothing():
    """A figure that creeps up changes somewhere in the middle."""
    values = [value + at for at, value in enumerate(noise(7, 40, sd=2))]
    assert change_points(values)


def test_an_outlier_is_no_change():
    """A run beside a backup is ten times as slow: no more changes are seen than by chance."""
    series = [noise(seed, 30) for seed in range(20)]
    for values in series:
        values[12] = 1000.0
    assert sum(bool(change_points(values)) for values in series) <= 3


def test_chance_is_called_a_change_in_one_of_twenty_series():
    """As often as is said: 200 series without a change, of figures that are skewed."""
    random = Random(11)
    series = ([random.lognormvariate(0, 0.3) for _ in range(16)] for _ in range(200))
    assert sum(bool(change_points(values)) for values in series) <= 17  # 95 % of the time, of 10


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 9.0, 9.0, 9.0], [5.0] * 30])
def test_too_few_runs_or_equal_ones_change_nothing(values):
    assert change_points(values) == []


def test_the_size_of_a_change_has_an_interval():
    """By Welch's test: worked out by hand."""
    (found,) = steps(segments([10.0, 11.0] * 3 + [20.0, 22.0] * 3))
    # variances 0.3 and 1.2, so √(0.3/6 + 1.2/6) = 0.5 and 7.35 degrees of freedom: t = 2.342
    assert (found.at, found.before, found.after) == (6, 10.5, 21)
    assert (found.low, found.high) == pytest.approx((10.5 - 1.171, 10.5 + 1.171), abs=0.002)


def test_a_change_without_any_noise_is_exact():
    assert steps(segments([1.0] * 6 + [2.0] * 6)) == [Step(6, 1, 2, 1, 1)]


def test_runs_vary_around_their_own_segment():
    """The change itself is no variance."""
    values = noise(3, 40, sd=3) + noise(4, 40, 200, sd=3)
    assert spread(segments(values)) == pytest.approx(3, rel=0.2)
    assert spread(segments([1.0, 2.0])) is None
