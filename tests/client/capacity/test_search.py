"""The search for the capacity, let loose on queues whose answer theory knows."""

from __future__ import annotations

import heapq
import random
from math import exp, factorial

import pytest

from swarmscope.client.capacity.search import GROWTH, MAX_LEVELS, Bounds, Search

LIMIT_S = 0.45
BOUNDS = Bounds(start=10, max=10_000, precision=0.05)


def run(search: Search, holds) -> list[int]:
    """Let *holds(users)* answer until the search is over; return the levels tried."""
    levels = []
    while (users := search.next_users()) is not None:
        levels.append(users)
        search.note(users, holds(users))
    return levels


@pytest.mark.parametrize("capacity", [1, 2, 7, 10, 11, 119, 350, 4999])
def test_a_sharp_limit_is_found_within_the_precision(capacity):
    """Never more than the truth, and at most 5 % less; one user is one user."""
    search = Search(BOUNDS)

    levels = run(search, lambda users: users <= capacity)

    assert capacity - max(1, 0.05 * capacity) < search.capacity <= capacity
    assert search.confirmed
    assert len(levels) < 20


def test_both_sides_of_the_answer_are_tried_again():
    """It falls back to the level that held and comes again to the one that broke."""
    search = Search(BOUNDS)

    levels = run(search, lambda users: users <= 100)

    assert levels[-2:] == [search.capacity, search.broken]
    assert levels.count(search.capacity) == levels.count(search.broken) == 2


def test_a_service_that_cannot_serve_one_user_has_no_capacity():
    """The search goes down to one user and ends."""
    search = Search(BOUNDS)
    run(search, lambda users: False)

    assert (search.capacity, search.broken) == (0, 1)


def test_a_limit_beyond_the_bound_is_not_claimed():
    """All that may be tried holds: nothing is known to break."""
    search = Search(Bounds(start=10, max=90, precision=0.05))

    levels = run(search, lambda users: True)

    assert levels == [10, 20, 40, 80, 90, 90]
    assert (search.capacity, search.broken) == (90, None)


def test_one_accident_does_not_lower_the_answer():
    """A level that broke once by accident, far below the truth, is tried again and passed."""
    accidents = {40}
    search = Search(BOUNDS)

    def holds(users: int) -> bool:
        if users in accidents:
            accidents.remove(users)
            return False
        return users <= 300

    run(search, holds)

    assert 285 < search.capacity <= 300


def test_one_lucky_level_does_not_raise_the_answer():
    """A level that held once by accident breaks when the search comes again."""
    lucky = {80}
    search = Search(BOUNDS)

    def holds(users: int) -> bool:
        if users in lucky:
            lucky.remove(users)
            return True
        return users <= 50

    run(search, holds)

    assert 47 < search.capacity <= 50


def test_a_coin_ends_the_search_too():
    """A service that breaks at random gets an answer, in bounded time, and no false confidence."""
    for seed in range(50):
        rng = random.Random(seed)
        search = Search(BOUNDS)

        levels = run(search, lambda users, rng=rng: rng.random() < 0.5)

        assert len(levels) <= MAX_LEVELS


def test_a_generator_that_gives_out_twice_ends_the_search():
    """What broke while the generator was saturated is nobody's limit but its own."""
    search = Search(BOUNDS)
    search.note(10, held=True)
    search.note(20, held=False, limited=True)
    assert search.next_users() == 20, "once may be an accident"
    search.note(20, held=False, limited=True)

    assert search.next_users() is None
    assert (search.capacity, search.broken, search.limited_at) == (10, None, 20)


def test_a_generator_that_stumbles_once_is_forgiven():
    """The level is tried again and counts as what it then does."""
    search = Search(BOUNDS)
    search.note(10, held=False, limited=True)
    search.note(10, held=True)

    assert search.limited_at is None
    assert search.next_users() == 10 * GROWTH


def response_times(rate: float, service_s: float, servers: int, seconds: float, rng) -> list[float]:
    """Return the response times of an M/D/c queue in *seconds*, from an empty one 5 s before."""
    free, now, times = [0.0] * servers, 0.0, []
    while now < seconds + 5:
        now += rng.expovariate(rate)
        end = max(now, heapq.heappop(free)) + service_s
        heapq.heappush(free, end)
        if 5 <= end < seconds + 5:
            times.append(end - now)
    return times


def slow_share(times: list[float]) -> float:
    return sum(time > LIMIT_S for time in times) / len(times)


def md1_slow_share(rate: float, service_s: float) -> float:
    """Return P(response > limit) of M/D/1 (Erlang 1909): 1 − (1−ρ) Σ (λ(kD−t))^k/k! e^(λ(t−kD))."""
    wait = LIMIT_S - service_s
    total = 0.0
    for k in range(int(wait / service_s) + 1):
        x = rate * (k * service_s - wait)
        total += x**k / factorial(k) * exp(-x)
    return 1 - (1 - rate * service_s) * total


def md1_capacity(service_s: float) -> float:
    """Return the rate at which 5 % of an M/D/1 queue's responses exceed the limit."""
    low, high = 0.5 / service_s, 0.999 / service_s
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if md1_slow_share(middle, service_s) <= 0.05 else (low, middle)
    return low


def measured_capacities(service_s: float, servers: int, runs: int) -> list[int]:
    """Return what searches find that see 20 s of the queue at each level, as real ones do."""
    found = []
    for seed in range(runs):
        rng, search = random.Random(seed), Search(BOUNDS)

        def holds(users: int, rng=rng) -> bool:
            return slow_share(response_times(users, service_s, servers, 20, rng)) <= 0.05

        run(search, holds)
        found.append(search.capacity)
    return found


def test_an_open_single_server_is_measured_as_erlang_says():
    """M/D/1 with 20 ms: 46.6 requests/s; 20 searches, each within 10 % of it."""
    truth = md1_capacity(0.02)
    assert truth == pytest.approx(46.6, abs=0.1)

    for capacity in measured_capacities(0.02, 1, runs=20):
        assert capacity == pytest.approx(truth, rel=0.1)


def test_four_open_servers_are_measured_within_a_tenth():
    """M/D/4 with 50 ms: theory by a long simulation, and under the bound of 80 requests/s."""
    rng = random.Random(0)
    truth = 76.4
    assert slow_share(response_times(truth, 0.05, 4, 4000, rng)) == pytest.approx(0.05, abs=0.02)

    for capacity in measured_capacities(0.05, 4, runs=20):
        assert capacity == pytest.approx(truth, rel=0.1)
