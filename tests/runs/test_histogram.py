"""The histogram's promise: an estimate is within 2.5 % of every value in its bucket."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from swarmscope.runs.histogram import (
    GAMMA,
    HIGHEST,
    LOWEST,
    MANY,
    MAX_MS,
    MIN_MS,
    RELATIVE_ERROR,
    bucket,
    estimate,
    window_of,
)

ROUNDING = 1e-12


def test_estimates_are_within_the_bound_for_any_value():
    """Over ten orders of magnitude, evenly in the logarithm, no value is more than 2.5 % off."""
    random_source = random.Random(20)
    low, high = math.log(MIN_MS), math.log(MAX_MS)
    values = [math.exp(random_source.uniform(low, high)) for _ in range(200_000)]

    worst = max(abs(estimate(bucket(value)) - value) / value for value in values)

    assert 0.9 * RELATIVE_ERROR < worst <= RELATIVE_ERROR + ROUNDING


@pytest.mark.parametrize("index", [LOWEST, -1, 0, 1, 100, HIGHEST - 1])
def test_edges_belong_to_the_bucket_below(index):
    """A bucket is open at its lower edge and closed at its upper one, but for rounding."""
    edge = GAMMA**index

    assert bucket(edge * (1 - 1e-9)) == max(index, LOWEST)
    assert bucket(edge * (1 + 1e-9)) == index + 1
    assert abs(estimate(index) - edge) / edge <= RELATIVE_ERROR + ROUNDING


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0.0, LOWEST),
        (-5.0, LOWEST),  # a clock that stepped back
        (1e-300, LOWEST),
        (MIN_MS, LOWEST),
        (MAX_MS, HIGHEST),
        (1e300, HIGHEST),
        (math.inf, HIGHEST),
    ],
)
def test_values_beyond_the_ends_go_to_the_outermost_buckets(ms, expected):
    """Nothing that a clock can say is refused."""
    assert bucket(ms) == expected


def test_not_a_number_is_refused():
    """A value that is none has no bucket."""
    with pytest.raises(ValueError, match="NaN"):
        bucket(math.nan)


def test_buckets_rise_with_values():
    """A larger value never has a smaller bucket, so percentiles can be read off the buckets."""
    random_source = random.Random(21)
    values = sorted(random_source.lognormvariate(3, 3) for _ in range(50_000))

    buckets = [bucket(value) for value in values]

    assert buckets == sorted(buckets)
    assert LOWEST <= buckets[0] < buckets[-1] <= HIGHEST


def test_sql_has_the_same_estimates(connection):
    """Figures made in the database agree with those that shippers stored."""
    rows = connection.execute(
        "SELECT bucket, bucket_ms(bucket) FROM generate_series(%s::int, %s::int) AS bucket",
        [LOWEST, HIGHEST],
    ).fetchall()

    assert len(rows) == HIGHEST - LOWEST + 1
    for number, sql_estimate in rows:
        assert sql_estimate == pytest.approx(estimate(number), rel=1e-12)


@pytest.mark.parametrize("number", [1, MANY - 1, MANY, 20_000])
def test_values_are_counted_in_their_buckets(number):
    """However many there are: just below, at and above edges, and beyond the ends."""
    around = [
        math.nextafter(value, towards)
        for value in (GAMMA**index for index in range(LOWEST - 2, HIGHEST + 2))
        for towards in (0.0, value, math.inf)
    ]
    values = [*random.Random(number).choices([*around, 0.0, -5.0], k=number)]

    assert window_of(values, 0).counts == Counter(map(bucket, values))
