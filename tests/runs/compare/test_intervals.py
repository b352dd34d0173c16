"""Intervals cover what they say: two runs of one kind are not told apart, two of two kinds are.

All is simulated with a fixed seed: latencies of runs whose true difference is known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random

import pytest

from swarmscope.runs.compare import distributions, intervals
from swarmscope.runs.compare.intervals import Estimate, Histogram, Sample, Sums
from swarmscope.runs.histogram import RELATIVE_ERROR, bucket

Seconds = list[list[float]]  # the latencies, in ms, of the requests that end in each second
LEVEL = 0.95


def histogram(values: list[float], failures: int = 0) -> Histogram:
    counts = sorted(Counter(map(bucket, values)).items())
    return Histogram(
        [b for b, _ in counts], list(accumulate(float(n) for _, n in counts)), failures
    )


def sample(seconds: Seconds) -> Sample:
    """Return a run as `comparison` reads it from the database."""
    length = intervals.batch_length(len(seconds))
    groups: list[list[float]] = [[] for _ in range(len(seconds) // length)]
    for second, values in enumerate(seconds[: len(groups) * length]):
        groups[second // length].extend(values)
    return Sample(
        histogram([v for values in seconds for v in values]),
        [histogram(values) for values in groups],
        len(seconds),
    )


def independent(random: Random, slower: float = 1.0) -> Seconds:
    """Thirty requests a second, each as long as it likes."""
    return [[slower * random.lognormvariate(3, 0.6) for _ in range(30)] for _ in range(30)]


def congested(random: Random, slower: float = 1.0) -> Seconds:
    """Requests of a second are slow together, and seconds resemble those before them."""
    load, seconds = random.gauss(0, 0.3), []
    for _ in range(40):
        seconds.append([slower * math.exp(3 + load + random.gauss(0, 0.4)) for _ in range(30)])
        load = 0.6 * load + random.gauss(0, 0.24)
    return seconds


def queue(random: Random) -> Seconds:
    """One server at 70 % of what it can take: Poisson arrivals, exponential work (M/M/1)."""
    seconds: Seconds = [[] for _ in range(60)]
    now, wait = -10.0, 0.0
    while now < 60:
        gap = random.expovariate(40)
        now, wait = now + gap, max(0.0, wait - gap) + random.expovariate(40 / 0.7)
        if 0 <= now < 60:
            seconds[int(now)].append(1000 * wait)
    return seconds


def as_if_independent(run: Sample) -> Sample:
    """Return a run of which nobody knows how its batches differ."""
    return Sample(run.whole, [run.whole] * len(run.spans), run.seconds)


def pairs(kind: Callable[[Random], Seconds], number: int) -> Iterator[tuple[Sample, Sample]]:
    random = Random(20)
    for _ in range(number):
        yield sample(kind(random)), sample(kind(random))


def change(a: Sample, b: Sample, share: float) -> Estimate:
    return intervals.difference(a.quantile(share, LEVEL), b.quantile(share, LEVEL))


def differs(estimate: Estimate) -> bool:
    return estimate.low > 0 or estimate.high < 0


@pytest.mark.parametrize("kind", [independent, congested])
def test_runs_of_one_kind_are_not_told_apart(kind):
    """At most one in twenty, at the median and at the p95, though requests are slow together."""
    called = Counter(
        share for a, b in pairs(kind, 60) for share in (0.5, 0.95) if differs(change(a, b, share))
    )

    assert max(called.values(), default=0) <= 3


def test_the_simulation_would_find_an_interval_that_is_too_narrow():
    """The one that takes requests for independent calls every third pair different."""
    naive = [
        change(as_if_independent(a), as_if_independent(b), 0.5) for a, b in pairs(congested, 60)
    ]

    assert sum(map(differs, naive)) > 20


def test_a_real_difference_is_found():
    """A third slower, of 900 requests each: at the median always, at the p95 nearly so."""
    random, found = Random(21), Counter()
    for _ in range(20):
        a, b = sample(independent(random)), sample(independent(random, slower=1.33))
        for share in (0.5, 0.95):
            found[share] += change(a, b, share).low > 0

    assert (found[0.5], found[0.95] >= 16) == (20, True)


def sums(seconds: Seconds) -> Sums:
    """Return the same run as what its requests add up to."""
    length = intervals.batch_length(len(seconds))
    number = len(seconds) // length
    groups = [seconds[length * batch : length * (batch + 1)] for batch in range(number)]
    added = [(math.fsum(map(math.fsum, group)), sum(map(len, group))) for group in groups]
    return Sums(math.fsum(map(math.fsum, seconds)), sum(map(len, seconds)), added)


def mean_change(a: Seconds, b: Seconds) -> Estimate:
    of_a, of_b = (intervals.logarithm(sums(run).estimate(LEVEL)) for run in (a, b))
    return intervals.relative(intervals.difference(of_a, of_b))


@pytest.mark.parametrize("kind", [independent, congested])
def test_means_of_one_kind_are_not_told_apart(kind):
    """At most one in twenty, though requests are slow together; a third slower is found."""
    random, pairs = Random(22), range(200)

    called = sum(differs(mean_change(kind(random), kind(random))) for _ in pairs)
    assert called <= 14

    slower = [mean_change(independent(random), independent(random, 1.33)) for _ in range(20)]
    assert all(change.low > 0 for change in slower)
    assert sum(change.low < 0.33 < change.high for change in slower) >= 18


def test_a_mean_that_does_not_vary_is_known_exactly():
    """As of a request that always makes three statements; without requests nothing is."""
    constant = Sums(90.0, 30.0, [(9.0, 3.0)] * 10).estimate(LEVEL)

    assert (constant.low, constant.value, constant.high) == (3, 3, 3)
    assert Sums(90.0, 30.0, [(0.0, 0.0)] * 10).estimate(LEVEL).high == math.inf


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", [independent, congested, queue])
def test_coverage_at_length(kind):
    """Of 1,000 pairs at most 65 (five in a hundred, and two standard errors) differ."""
    called = Counter(
        share for a, b in pairs(kind, 1000) for share in (0.5, 0.95) if differs(change(a, b, share))
    )

    assert max(called.values(), default=0) <= 65


def test_few_requests_say_nothing_of_the_tail_by_rank():
    """Of 300 requests even the slowest may be below the p99: an end has to come from batches."""
    run = sample([[10.0 + i for i in range(10)] for _ in range(30)])
    silent = Sample(run.whole, [*run.spans[:-1], Histogram((), ())], run.seconds)
    estimate = silent.quantile(0.99, LEVEL)

    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert math.isfinite(run.quantile(0.99, LEVEL).high)


def test_no_end_is_further_out_than_what_was_seen():
    """Of few batches that resemble one another the spread is hardly known: it bounds nothing."""
    hump = [[1000.0] * 40 if second < 2 else [20.0] * 400 for second in range(12)]
    found = sample(hump).quantile(0.95, LEVEL)
    seen = [math.log(ms) for ms in (19.0, 1051.0)]

    assert found.low == -math.inf or seen[0] < found.low
    assert found.high == math.inf or found.high < seen[1]


def test_quantiles_lie_in_their_buckets():
    """Between its edges by rank: at most one bucket from the value that has the rank."""
    random = Random(3)
    values = sorted(random.lognormvariate(3, 1) for _ in range(2000))
    whole = histogram(values)

    for share in (0.01, 0.5, 0.95, 0.999):
        ms = intervals.GAMMA ** whole.position(share)
        exact = values[math.ceil(share * 2000) - 1]
        assert abs(ms / exact - 1) <= 2.1 * RELATIVE_ERROR
        assert whole.below(whole.position(share)) == pytest.approx(share * 2000)


@pytest.mark.parametrize("b_failures", [0, 30])
def test_shares_of_failures(b_failures):
    """None against none is no change; none against 5 %, spread evenly, is one."""
    a = [histogram([20.0] * 30) for _ in range(20)]
    b = [histogram([20.0] * 30, failures=1 if i < b_failures else 0) for i in range(20)]
    one, two = (Sample(intervals.join(spans), spans, 20).fail_ratio(LEVEL) for spans in (a, b))
    found = intervals.difference(one, two)

    assert found.value == pytest.approx(20 / 600 if b_failures else 0)
    assert differs(found) is bool(b_failures)


def test_rates_are_not_surer_than_their_edges():
    """Users who come like clockwork make no interval without width; a tenth more is more."""

    def run(per_s: int) -> Sample:
        return sample([[20.0] * per_s for _ in range(59)])

    same = intervals.relative(intervals.difference(run(50).rate(LEVEL), run(51).rate(LEVEL)))
    more = intervals.relative(intervals.difference(run(50).rate(LEVEL), run(55).rate(LEVEL)))

    assert (round(same.value, 3), differs(same)) == (0.02, False)
    assert (round(more.value, 3), differs(more)) == (0.1, True)


@pytest.mark.parametrize(
    ("seconds", "length", "number"),
    [(9, None, 0), (10, 2, 5), (39, 2, 19), (41, 3, 13), (60, 3, 20), (200, 10, 20)],
)
def test_batches_are_of_one_length(seconds, length, number):
    """At least five, at most twenty, of at least two seconds; what is left over is in none."""
    assert intervals.batch_length(seconds) == length
    assert length is None or seconds // length == number


def test_sums_of_histograms():
    """Buckets meet, and counts and failures add up."""
    joined = intervals.join([histogram([1.0, 5.0], 1), histogram([5.0, 900.0], 1), histogram([])])

    assert joined == histogram([1.0, 5.0, 5.0, 900.0], 2)


@pytest.mark.parametrize(
    ("p", "freedom", "t"),
    [(0.975, 1, 12.706), (0.975, 4, 2.776), (0.975, 19, 2.093), (0.995, 10, 3.169),
     (0.9995, 30, 3.646)],
)  # fmt: skip
def test_students_t_is_that_of_the_tables(p, freedom, t):
    """As printed in every table of it."""
    assert distributions.t_quantile(p, freedom) == pytest.approx(t, abs=0.001)


@pytest.mark.parametrize(("x", "a", "b", "value"), [(0.5, 2, 3, 11 / 16), (0.2, 1, 5, 1 - 0.8**5),
                                                    (0.9, 95, 6, 0.0575769), (0, 1, 1, 0),
                                                    (1, 2, 2, 1)])  # fmt: skip
def test_the_incomplete_beta_function(x, a, b, value):
    """Against closed forms: binomial sums and a polynomial."""
    assert distributions.beta_cdf(x, a, b) == pytest.approx(value, rel=1e-6)


def test_order_statistics_enclose_a_quantile():
    """Of 100: the 41st and the 60th around the median; of 300 none lies above the p99 surely."""
    below, above = (distributions.order_statistic(0.5, 100, p) for p in (0.975, 0.025))
    many = [distributions.order_statistic(0.95, n, 0.975) / n for n in (20_000, 22_000)]

    assert (math.floor(below), math.ceil(above)) == (40, 61)
    assert distributions.order_statistic(0.99, 300, 0.025) > 300
    assert distributions.order_statistic(0.99, 400, 0.025) < 400
    assert many[0] == pytest.approx(many[1], abs=2e-4)  # where the normal distribution takes over
