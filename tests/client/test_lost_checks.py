"""Which checks are lost for good: never one that the rest of the run could still mend."""

from __future__ import annotations

import pytest
from locust.stats import RequestStats

from swarmscope.client.lost_checks import Counts, Rate, is_lost
from swarmscope.runs.thresholds import parse


def counts(*times_ms: int, failures: int = 0) -> Counts:
    stats = RequestStats()
    for time_ms in times_ms:
        stats.log_request("GET", "/", time_ms, 0)
    for _ in range(failures):
        stats.log_error("GET", "/", "no")
    return Counts.of(stats.entries.values())


@pytest.mark.parametrize(
    ("metric", "limit", "seen", "more", "lost"),
    [
        ("fail-ratio", "0.01", counts(*[5] * 100, failures=11), 1000, False),
        ("fail-ratio", "0.01", counts(*[5] * 100, failures=12), 1000, True),
        ("fail-ratio", "0", counts(5, failures=1), 1e9, True),
        ("fail-ratio", "1", counts(5, failures=1), 0, False),
        ("avg-response-time", "100", counts(*[1000] * 10), 90, False),
        ("avg-response-time", "100", counts(*[1000] * 10), 89, True),
        ("rps", "10", counts(*[5] * 100), 900, False),
        ("rps", "10", counts(*[5] * 100), 899, True),
        ("p95", "300", counts(*[400] * 60), 1140, False),
        ("p95", "300", counts(*[400] * 60), 1139, True),
        ("p99", "300", counts(*[400] * 300), 29_701, False),
        ("p99", "300", counts(*[400] * 300), 29_699, True),
        ("p50", "300", counts(*[400] * 60), 59, True),
        ("p95", "300", counts(*[400] * 58), 0, False),
        ("p95", "GET /=300", counts(*[310] * 100), 0, False),
        ("p95", "GET /=300", counts(*[320] * 100), 0, True),
        ("p95", "0", counts(*[0] * 100), 0, False),
    ],
)
def test_what_is_lost(metric, limit, seen, more, lost):
    """If all that is to come takes no time and succeeds, in a run of 100 s; by exact numbers."""
    assert is_lost(parse(metric, limit), seen, more, 100.0) is lost


def test_a_rounded_time_counts_by_what_it_may_have_been():
    """Locust keeps two digits: 1,100 may have been 1,050."""
    assert counts(1049, 1051, 1149).times == {1000: 1, 1100: 2}
    assert counts(1051, 1149).slower(1050 / 1.026) == 2
    assert counts(1051, 1149).slower(1050) == 0
    assert counts(95).slower(92) == 1
    assert counts(95).slower(93) == 0


def test_what_was_before_ramp_up_does_not_count():
    """The difference of two counts is what came between."""
    before, after = counts(400, 400), counts(400, 400, 400, 5, failures=1)
    between = after.since(before)

    assert (between.requests, between.failures, between.timed) == (2, 1, 2)
    assert between.total_ms == 405
    assert between.slower(300) == 1


def test_the_bound_grows_with_the_highest_rate():
    """Twice that, for the time left and for what is on its way; none is known at first."""
    rate = Rate()
    for second, requests in ((0, 0), (2, 20), (4, 40), (6, 60), (8, 80)):
        assert rate.highest_per_s == 0.0 or second > 6
        rate.note(second, requests)
    assert rate.highest_per_s == pytest.approx(10)
    rate.note(14, 680)
    assert rate.highest_per_s == pytest.approx(100)
    for second in range(16, 40, 2):
        rate.note(second, 680)
    assert rate.highest_per_s == pytest.approx(100)
    assert rate.bound(4) == pytest.approx(2000)
    assert rate.bound(-9) == pytest.approx(1200)
