"""Whether the users of a level are there, and when to stop waiting for them."""

from __future__ import annotations

import pytest

from swarmscope.client.capacity.spawning import GONE_S, SLOW_S, Present, SpawnWatch


def wait(counts, users: int = 10, tolerance: int = 0) -> tuple[str | None, int]:
    """Ask every second for 200 s; *counts(second)* is who is there. Return the reason, and when."""
    roll = SpawnWatch(users, tolerance, 0.0)
    for second in range(200):
        if reason := roll.missing(Present(*counts(second)), float(second)):
            return reason, second
    return None, 200


def test_all_there_and_at_work_is_complete():
    """Not while some are in their on_start, and not while Locust still creates them."""
    roll = SpawnWatch(10, 0, 0.0)

    assert roll.is_complete(Present(10, 0, False))
    assert not roll.is_complete(Present(10, 1, False))
    assert not roll.is_complete(Present(10, 0, True))
    assert not roll.is_complete(Present(9, 0, False))
    assert SpawnWatch(100, 2, 0.0).is_complete(Present(98, 0, False))


def test_a_complete_level_is_never_given_up():
    """However long it lasts."""
    assert wait(lambda second: (10, 0, False)) == (None, 200)


def test_users_that_are_gone_do_not_come_back():
    """Four of ten live: the others ended by themselves."""
    reason, second = wait(lambda second: (4, 0, False))

    assert reason == (
        "only 4 of 10 users ran: the others ended by themselves, failed in on_start,"
        " or could not be created"
    )
    assert second == GONE_S + 1


def test_users_that_end_one_by_one_are_not_waited_for():
    """A number that falls is no progress."""
    reason, second = wait(lambda second: (max(9 - second, 0), 0, False))

    assert reason.startswith("none of 10 users was running: they ended by themselves")
    assert second == GONE_S + 1


def test_slow_starts_get_more_time_while_they_go_on():
    """Users that come one in fifty seconds are waited for, those that do not are not."""
    assert wait(lambda second: (min(second // 50, 10), 0, True), users=3) == (None, 200)
    reason, second = wait(lambda second: (1, 0, True))

    assert "took too long to be created" in reason
    assert second == SLOW_S + 1


def test_an_on_start_that_hangs_is_named():
    """All run, some never get to work."""
    reason, second = wait(lambda second: (10, 6, False))

    assert reason == "6 of 10 users did not finish their on_start"
    assert second == SLOW_S + 1


@pytest.mark.parametrize("lag", [0, 30])
def test_a_ramp_down_is_waited_for_as_long_as_it_goes_on(lag):
    """Users that finish what they do; and the reason when they never stop."""
    assert wait(lambda second: (max(40 - second, 10), 0, second < 30 + lag))[0] is None
    assert "12 users are still running instead of 10" in wait(lambda second: (12, 0, False))[0]
