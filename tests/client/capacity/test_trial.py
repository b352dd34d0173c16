"""Whether a level of load holds the objective, as its seconds pass."""

from __future__ import annotations

import pytest

from swarmscope.client.capacity.figures import (
    MAX_TYPES,
    Measured,
    Order,
    Seconds,
    measured,
    sorted_out,
)
from swarmscope.client.capacity.trial import Objective, Trial
from swarmscope.client.objective import Limits
from swarmscope.runs.selection import Selection
from swarmscope.runs.thresholds import parse

OBJECTIVE = Objective(limit_ms=450, fail_ratio=0.01)
FAST, NEAR, SLOW = 20.0, 400.0, 900.0


def second(fast: int = 0, near: int = 0, slow: int = 0, failed: int = 0) -> Measured:
    values = [*[FAST] * fast, *[NEAR] * near, *[SLOW] * slow]
    return measured(
        [(ms, None, None, number < failed) for number, ms in enumerate(values)], OBJECTIVE.limit_ms
    )


def decide(pattern, careful: bool = False) -> tuple[bool | None, int]:
    """Return the decision on *pattern(second)*, and the seconds after which it fell."""
    seconds, trial = Seconds(), Trial(OBJECTIVE, window_s=20, begin=1000, careful=careful)
    for passed in range(1, 100):
        seconds.add([(999 + passed, pattern(passed))])
        decision = trial.decide(seconds, 1000 + passed)
        if decision is not None:
            return decision, passed
    return None, 100


def test_five_in_a_hundred_may_be_slow():
    """p95 is within the limit when 95 % are, and not a request fewer."""
    assert OBJECTIVE.holds(second(fast=95, slow=5))
    assert not OBJECTIVE.holds(second(fast=94, slow=6))


def test_one_in_a_hundred_may_fail():
    """More break the objective, however quick."""
    assert OBJECTIVE.holds(second(fast=100, failed=1))
    assert not OBJECTIVE.holds(second(fast=100, failed=2))


def test_nothing_answered_is_nothing_held():
    """A service that is stuck has no p95 to be proud of."""
    assert not OBJECTIVE.holds(Measured())


def test_what_holds_easily_needs_a_quarter_of_the_window():
    """Far below the limit and enough of them; the second time all of the window is seen."""
    assert decide(lambda _: second(fast=30)) == (True, 5)
    assert decide(lambda _: second(fast=30), careful=True) == (True, 20)


def test_what_comes_near_the_limit_is_seen_out():
    """The whole window decides."""
    assert decide(lambda _: second(fast=29, near=1)) == (True, 20)
    assert decide(lambda _: second(fast=27, slow=3)) == (False, 20)


def test_too_few_requests_get_more_time():
    """A percentile of 40 requests says little: the window grows until there are 100."""
    assert decide(lambda _: second(fast=2)) == (True, 50)


def test_too_few_requests_get_no_endless_time():
    """After three windows it must do; a service that never answers has broken its objective."""
    assert decide(lambda _: second(near=1)) == (True, 60)
    assert decide(lambda _: Measured())[0] is False


def test_what_is_hopeless_is_given_up_halfway():
    """Most are too slow and get no quicker."""
    assert decide(lambda _: second(slow=30)) == (False, 10)


def test_a_backlog_of_the_level_before_is_not_held_against_this_one():
    """Slow in the first 12 s while a backlog drains, good after that: the window moves on."""

    def draining(passed: int) -> Measured:
        left = max(12 - passed, 0) / 12
        return measured([(FAST + 4000 * left, None, None, False)] * 30, OBJECTIVE.limit_ms)

    decision, passed = decide(draining)

    assert decision is True
    assert 20 < passed <= 40


def test_what_breaks_late_is_broken():
    """Good at first, then over the limit for good: the second half counts as much."""
    decision, _ = decide(lambda passed: second(fast=29, near=1) if passed < 15 else second(slow=30))

    assert decision is False


def test_percentiles_are_within_the_histograms_error():
    """The same log buckets as in the runs database: 2.5 %."""
    figures = measured([(float(ms), None, None, False) for ms in range(1, 1001)], 450)

    assert figures.percentile_ms("response", 0.95) == pytest.approx(950, rel=0.025)
    assert figures.percentile_ms("queue", 0.95) is None
    assert (figures.requests, figures.slow) == (1000, 550)


def test_parts_that_do_not_fit_are_left_out():
    """Clocks differ: a queue time beyond the total leaves the service time, as in the database."""
    samples = [(100.0, 30.0, 50.0, False), (100.0, None, 50.0, False), (100.0, 70.0, 50.0, False)]
    figures = measured(samples, 450)

    assert figures.requests == 3
    assert [figures.parts[p].count for p in ("queue", "service", "outside")] == [1, 3, 1]
    assert [figures.mean_ms(p) for p in ("queue", "service", "outside")] == [30, 50, 20]


def test_figures_survive_the_way_to_the_master():
    """What a worker reports, added to what another did."""
    one, two = second(fast=10, slow=2), second(fast=5, failed=1)
    seconds = Seconds()
    for figures in (one, two):
        seconds.add([(7, Measured.from_message(figures.as_message()))])

    total = seconds.between(7, 8)
    assert (total.requests, total.slow, total.failed) == (17, 2, 1)
    assert total.parts["response"].max_ms == SLOW


def endpoint(requests: int, slow: int) -> Measured:
    return measured(
        [(SLOW if number < slow else FAST, None, None, False) for number in range(requests)], 450
    )


def test_an_endpoint_may_have_a_limit_of_its_own():
    """It breaks the objective by itself, once there are enough requests for a percentile."""
    objective = Objective(450, 0.01, {"GET /a": Limits(limit_ms=450)})
    figures = second(fast=1000)

    for requests, slow, broken in ((100, 5, None), (100, 6, "GET /a"), (58, 58, None)):
        figures.endpoints = {"GET /a": endpoint(requests, slow)}
        assert objective.broken_endpoint(figures) == broken
        assert objective.holds(figures) == (broken is None)


def test_requests_are_sorted_out_by_what_counts():
    """HTTP, figures of another type, and an endpoint with a limit, over the way to the master."""
    order = Order.from_message(Order(450, endpoints={"GET /b": 10.0}).as_message())
    samples = {
        ("/a", "GET"): [(5.0, None, None, False)] * 3,
        ("/b", "GET"): [(20.0, None, None, True)],
        ("end", "KPI"): [(2000.0, None, None, False)] * 2,
        ("odd", "GET"): [(None, None, None, True), (float("nan"), None, None, False)],
    }
    seconds = Seconds()
    seconds.add([(7, Measured.from_message(sorted_out(samples, order).as_message()))])
    found = seconds.between(7, 8)

    assert (found.requests, found.timed, found.slow, found.failed) == (6, 4, 0, 2)
    assert (found.endpoints["GET /b"].requests, found.endpoints["GET /b"].slow) == (1, 1)
    assert (seconds.counted, seconds.left_out) == (6, {"KPI": 2})


def test_endpoints_are_named_as_they_are_stored():
    """A search, a check and a table mean the same requests, whatever secret is in their names."""
    stored = parse("p95", "GET /x?key=PW1=10").endpoint
    chosen = Selection.parse("GET /x?key=PW3")
    samples = {(f"/x?key=PW{i}", "GET"): [(20.0, None, None, False)] for i in (1, 2)}
    found = sorted_out(samples, Order(450, chosen, {stored: 10.0}))

    assert (found.requests, found.endpoints["GET /x?key=***"].slow) == (2, 2)


def test_without_http_all_types_count():
    """Also what was measured before the first request of HTTP came is not mixed with it."""
    seconds = Seconds()
    own = {("x", "A"): [(5.0, None, None, False)], ("y", "B"): [(6.0, None, None, False)]}
    seconds.add([(7, sorted_out(own, Order(450)))])

    assert (seconds.between(7, 8).requests, seconds.counted, seconds.left_out) == (2, 2, {})
    seconds.add([(8, sorted_out({("/", "GET"): [(5.0, None, None, False)]}, Order(450)))])
    assert seconds.between(7, 9).requests == 1
    assert seconds.left_out == {"A": 1, "B": 1}
    seconds.begin(Selection.parse("A"))
    assert (seconds.counted, seconds.left_out) == (0, {})


def test_types_without_end_are_bounded():
    """A scenario that puts ids into its types makes no endless message."""
    own = {("x", f"T{number}"): [(5.0, None, None, False)] for number in range(1000)}
    types = sorted_out(own, Order(450)).types

    assert len(types) == MAX_TYPES + 1
    assert sum(figures.requests for figures in types.values()) == 1000


def test_a_dropped_arrival_makes_nothing_http():
    """It is held against whatever the scenario sends."""
    seconds = Seconds()
    late = measured([(900.0, None, None, True)], 450)
    late.dropped = 1
    seconds.add([(7, late), (7, sorted_out({("x", "A"): [(5.0, None, None, False)]}, Order(450)))])

    found = seconds.between(7, 8)
    assert (found.requests, found.failed, found.slow) == (2, 1, 1)
