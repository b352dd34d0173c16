"""Wait times that spread phases, hold the rate, and never make up for a stall in a burst."""

import random
from itertools import pairwise

import pytest
from locust import User
from locust.env import Environment

from swarmscope.client.health.probe import WINDOWS_PER_SECOND
from swarmscope.client.health.trust import dispersion
from swarmscope.client.workload import missed, pacing
from swarmscope.client.workload.pacing import PacingSlots, paced, throughput


class Clock:
    """The time that wait functions see; `pacing` reads it in place of ``perf_counter``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(pacing, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture(autouse=True)
def _same_phases_each_time():
    random.seed(5)


def user(wait, environment=None):
    class Visitor(User):
        wait_time = wait

    return Visitor(environment or Environment(user_classes=[Visitor]))


def starts(person, clock, count, task_seconds=0.01):
    """Return when the user begins *count* tasks that take *task_seconds* each."""
    moments = []
    for _ in range(count):
        moments.append(clock.now)
        clock.now += task_seconds
        clock.now += person.wait_time()
    return moments


def gaps(moments):
    return [later - sooner for sooner, later in pairwise(moments)]


def test_tasks_begin_one_period_apart(clock):
    """After the first wait, whatever a task takes, the next begins a period after the last."""
    moments = starts(user(paced(2)), clock, 6, task_seconds=0.7)

    assert gaps(moments[1:]) == pytest.approx([2.0] * 4)


def test_users_of_one_batch_get_phases_all_over_the_period(clock):
    """1,000 users created at one moment: every tenth of the period holds about a tenth of them."""
    environment = Environment()
    waits = [user(paced(10), environment).wait_time() for _ in range(1000)]

    assert 0 <= min(waits) < max(waits) < 10
    for tenth in range(10):
        assert 60 < sum(int(wait) == tenth for wait in waits) < 140


def test_the_first_wait_does_not_hang_on_how_long_the_first_task_took(clock):
    """A batch whose first requests queue must not be strung out by its own queue alone."""
    environment = Environment()
    waits = []
    for _ in range(500):
        person = user(paced(4), environment)
        clock.now += 0.5
        waits.append(person.wait_time())

    assert sum(waits) / len(waits) == pytest.approx(2, abs=0.2)


def test_a_batch_of_users_arrives_like_people_who_do_not_know_each_other(clock):
    """1,000 users spawned at once: a dispersion near 1, where users in phase have 100."""
    environment = Environment()
    counts = {}
    for _ in range(1000):
        clock.now = 100.0
        for moment in starts(user(paced(10), environment), clock, 6)[1:]:
            window = int(moment * WINDOWS_PER_SECOND)
            counts[window] = counts.get(window, 0) + 1

    ratio = dispersion(counts, 110 * WINDOWS_PER_SECOND, 140 * WINDOWS_PER_SECOND - 1)

    assert ratio == pytest.approx(1, abs=0.3)


def test_slots_missed_in_a_stall_are_skipped_and_counted(clock):
    """A task that covers 3 slots: the user waits for the 4th, in phase, and 3 are counted."""
    environment = Environment()
    person = user(paced(1), environment)
    clock.now += person.wait_time()
    phase = clock.now % 1

    clock.now += 3.4
    clock.now += person.wait_time()

    assert clock.now % 1 == pytest.approx(phase)
    assert missed.of(environment)["slots_missed"] == 3
    clock.now += 0.01
    assert person.wait_time() == pytest.approx(0.99)


def test_no_burst_follows_a_stall(clock):
    """Stock wait times fire without pause until they caught up; here each waits a period."""
    person = user(paced(1))
    starts(person, clock, 2)
    clock.now += 30

    moments = starts(person, clock, 5)

    assert min(gaps(moments[1:])) > 0.9


def test_a_slot_reached_exactly_is_taken():
    """Being on time is not being late."""
    slots = PacingSlots(period=1.0, first=5.0)

    assert slots.take(5.0) == (0.0, 0)
    assert slots.take(6.0) == (0.0, 0)
    assert slots.take(7.5) == (0.5, 1)


def test_throughput_is_the_inverse_of_a_period(clock):
    """Four a second: a quarter of a second apart."""
    moments = starts(user(throughput(4)), clock, 5)

    assert gaps(moments[1:]) == pytest.approx([0.25] * 3)


def test_a_task_set_may_have_a_pace_of_its_own(clock):
    """Locust calls a TaskSet's wait_time with the TaskSet; missed slots still find their run."""
    from locust import TaskSet

    class Browsing(TaskSet):
        wait_time = paced(1)

    environment = Environment()
    browsing = Browsing(user(paced(5), environment))
    clock.now += browsing.wait_time() + 2.5
    browsing.wait_time()

    assert missed.of(environment)["slots_missed"] == 2


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_pace_must_be_positive(wrong):
    """A bad value stops the start, not the swarm."""
    with pytest.raises(ValueError, match="positive"):
        paced(wrong)
    with pytest.raises(ValueError, match="positive"):
        throughput(wrong)
