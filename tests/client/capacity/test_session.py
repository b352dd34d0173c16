"""One search as it goes on: draining a backlog, and telling whose limit it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarmscope.client.capacity.figures import Measured, Seconds, measured
from swarmscope.client.capacity.search import Bounds, Search
from swarmscope.client.capacity.session import CurrentLevel, Session
from swarmscope.client.capacity.settings import SearchSettings
from swarmscope.client.capacity.spawning import SpawnWatch
from swarmscope.client.capacity.trial import Objective
from swarmscope.client.capacity.verdict import EarlyEnd
from swarmscope.runs.document import Cause, CauseSide, ResourceName

LIMIT_MS = 450
BOUNDS = Bounds(start=10, max=1000, precision=0.05)


def level(users: int, **more: float) -> CurrentLevel:
    return CurrentLevel(users, 5, SpawnWatch(users, 0, 0.0), **more)


@pytest.fixture
def session() -> Session:
    settings = SearchSettings(Objective(LIMIT_MS, 0.01), BOUNDS, warm_up_s=5, window_s=20)
    return Session(settings, Search(BOUNDS), level(10))


def figures(requests: int, ms: float) -> Measured:
    return measured([(ms, None, None, False)] * requests, LIMIT_MS)


def test_a_backlog_has_drained_when_nothing_was_slow_for_a_while(session):
    """Three seconds without a slow request, of those after the ramp down."""
    session.level = level(2, next_users=20, ramped=1000.0)
    seconds = Seconds()
    seconds.add((second, figures(5, 900)) for second in range(1000, 1010))
    seconds.add((second, figures(2, 20)) for second in range(1010, 1020))

    assert next(until for until in range(1000, 1020) if session.drained(seconds, until)) == 1013


def test_silence_is_no_calm(session):
    """A service that answers nothing has not drained; after three windows the search goes on."""
    session.level = level(2, next_users=20, ramped=1000.0)

    assert not session.drained(Seconds(), 1060)
    assert session.drained(Seconds(), 1061)


def test_a_saturated_generator_whose_rate_stalls_is_the_limit(session):
    """Twice the users, hardly more requests, nothing slow, and the generator has no CPU left."""
    assert not session.note(True, figures(1000, 20), 10, saturated=False)
    session.level = level(20)
    assert session.note(True, figures(1050, 20), 10, saturated=True)


def test_a_busy_generator_that_keeps_up_is_no_limit(session):
    """The objective held and the rate grew with the users: its latencies are at worst too long."""
    session.note(True, figures(1000, 20), 10, saturated=False)
    session.level = level(20)

    assert not session.note(True, figures(1900, 20), 10, saturated=True)


@pytest.mark.parametrize(
    ("kinds", "limit"),
    [(["generator"], "generator"), (["workers", "generator"], "service"), (["unknown"], "service")],
)
def test_a_cause_that_is_the_generator_is_no_limit_of_the_application(session, kinds, limit):
    """So the answer is "at least"; where the service was full, too, that is its limit."""
    side = CauseSide(requests_per_s=131.0, response_ms=460.0, parts={})
    first, *also = (ResourceName(service=None, kind=kind, detail="", words=kind) for kind in kinds)
    named = {"service": None, "kind": first.kind, "detail": "", "words": first.words}
    said = {"sentence": "Full.", "agrees": True, "grew": None, "held": None, "broke": side}
    session.note(True, figures(100, 20), 10, saturated=False)
    session.level = level(20)
    session.note(False, figures(150, 900), 10, saturated=False)

    verdict = session.verdict(cause=Cause(**named, **said, also=also))

    assert (verdict.limit, verdict.at_least) == (limit, limit == "generator")


def test_what_a_saturated_generator_measured_is_no_reason(session):
    """Its own waiting is outside of the service; the reason is from the trial after it."""
    own = measured([(900.0, 10.0, 10.0, False)] * 100, LIMIT_MS)
    queued = measured([(700.0, 680.0, 10.0, False)] * 100, LIMIT_MS)

    assert session.note(False, own, 10, saturated=True)
    assert not session.note(False, queued, 10, saturated=False)

    assert (session.verdict().broken_part, session.verdict().levels) == ("queue", 2)


def test_trials_of_one_level_add_up_by_what_they_found(session):
    """The verdict's figures are those of all trials of its level that held."""
    session.note(True, figures(100, 20), 10, saturated=False)
    session.note(False, figures(100, 900), 10, saturated=False)
    session.note(True, figures(200, 30), 10, saturated=False)

    verdict = session.verdict()

    assert (verdict.users, verdict.requests_per_s, verdict.levels) == (10, 15, 3)
    assert verdict.response.p99 == pytest.approx(30, rel=0.025)


def test_what_is_known_when_time_is_up_is_the_verdict(session):
    """Both sides as far as they are known, and that nobody narrowed them down."""
    session.note(True, figures(100, 20), 10, saturated=False)
    session.level = level(20)
    session.note(False, figures(100, 900), 10, saturated=False)

    verdict = session.verdict(EarlyEnd("time", "time was up after 60 s"))

    assert (verdict.users, verdict.broken_users, verdict.limit) == (10, 20, "time")
    assert verdict.at_least
    assert "from at least 10, below 20 users: time was up after 60 s." in verdict.sentence()


def test_an_answer_that_was_only_not_repeated_is_an_answer(session):
    """Time is up when both sides are narrow enough: the service is the limit, not confirmed."""
    session.note(True, figures(100, 20), 10, saturated=False)
    session.level = level(11)
    session.note(False, figures(100, 900), 10, saturated=False)

    verdict = session.verdict(EarlyEnd("time", "time was up after 60 s"))

    assert (verdict.limit, verdict.confirmed, verdict.at_least) == ("service", False, False)
    assert verdict.sentence().endswith("Not confirmed: time was up after 60 s.")


def test_no_level_is_begun_that_has_no_time_left(session):
    """Ramp, settling, half a window and the way of the figures; a large ramp takes longer."""
    session.settings = replace(session.settings, run_time_s=60.0)

    assert session.fits(20)
    assert not session.fits(10_000)
    session.began -= 40
    assert not session.fits(20)
