"""A capacity run's answer, in words and figures."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from swarmscope.client.capacity.figures import measured
from swarmscope.client.capacity.trial import Objective
from swarmscope.client.capacity.verdict import CapacityVerdict, Percentiles, broken_part
from swarmscope.runs.document import Cause, CauseSide

NONE = Percentiles(None, None, None)
VERDICT = CapacityVerdict(
    users=345,
    requests_per_s=117.2,
    response=Percentiles(80.0, 231.4, 400.0),
    service=Percentiles(5.0, 6.0, 7.0),
    queue=Percentiles(70.0, 220.0, 390.0),
    outside=NONE,
    limit_ms=450,
    fail_ratio=0.01,
    objective="p95 within 450 ms and at most 1 % failures",
    limit="service",
    reason="",
    broken_users=360,
    broken_endpoint=None,
    broken_p95_ms=1210.0,
    broken_fail_ratio=0.0,
    broken_part="queue",
    confirmed=True,
    levels=12,
    seconds=300.0,
    requests="",
    left_out={},
    notes=(),
)


def test_the_sentence_of_the_tutorial():
    """Requests per second, users, the objective, the reason, and how sure it is."""
    assert VERDICT.sentence() == (
        "The application can handle 117 requests per second from 345 users, with p95 within 450 ms "
        "and at most 1 % failures (p95 there 231 ms); at 360 users p95 was 1,210 ms: requests "
        "waited longer in the queue. Confirmed: both levels were repeated with the same result."
    )


def test_the_cause_is_said_where_it_is_known():
    """In place of the part, and before how sure the answer is; with all of its figures."""
    broke = CauseSide(requests_per_s=131.0, response_ms=460.0, parts={"pool": 380.0})
    cause = Cause(
        kind="pool",
        detail="shop",
        service="shop",
        words="connections of the pool shop",
        sentence="At 131 requests/s the 10 database connections were in use.",
        agrees=True,
        grew="pool",
        held=None,
        broke=broke,
    )
    verdict = replace(VERDICT, cause=cause)

    assert "; at 360 users p95 was 1,210 ms. At 131 requests/s the 10" in verdict.sentence()
    assert "connections were in use. Confirmed: both levels" in verdict.sentence()
    assert msgspec.convert(verdict.details()["cause"], Cause) == cause


def test_a_saturated_generator_never_names_a_capacity():
    """At least so much, and whose limit it was."""
    verdict = replace(VERDICT, limit="generator", broken_users=None, broken_part=None)

    assert verdict.details()["at_least"] is True
    assert "at least 117 requests per second from at least 345 users" in verdict.sentence()
    assert "saturated first, so the application's limit may be higher" in verdict.sentence()


def test_the_bound_is_no_limit_either():
    """Everything that was allowed held."""
    verdict = replace(VERDICT, limit="bound", broken_users=None, broken_part=None)

    assert "at least 345 users" in verdict.sentence()
    assert verdict.sentence().endswith("no more users were tried.")


@pytest.mark.parametrize(
    ("limit", "words"),
    [("service", "cannot meet p95 within 450 ms"), ("generator", "Nothing is known")],
)
def test_no_users_at_all(limit, words):
    """The service that cannot serve one user, and the generator that cannot make one."""
    verdict = replace(VERDICT, users=0, limit=limit)

    assert words in verdict.sentence()


def figures(queue: float, app: float, outside: float, failed: bool = False):
    return measured([(queue + app + outside, queue, app, failed)] * 10, 450)


@pytest.mark.parametrize(
    ("after", "part"),
    [
        ((500, 12, 1), "queue"),
        ((5, 600, 1), "service"),
        ((5, 12, 700), "outside"),
        ((5, 12, 1, True), "failures"),
    ],
)
def test_what_grew_most_broke_first(after, part):
    """The part whose mean rose most; failures go before all."""
    objective = Objective(450, 0.01)

    assert broken_part(objective, figures(2, 10, 1), figures(*after)) == part


def test_without_server_timing_nobody_can_tell():
    """A service that does not say what it did."""
    bare = measured([(900.0, None, None, False)], 450)

    assert broken_part(Objective(450, 0.01), bare, bare) is None


@pytest.mark.parametrize(("ms", "part"), [(560.0, "service"), (900.0, None)])
def test_service_time_alone_is_named_where_it_explains_the_growth(ms, part):
    """Without a queue the rest of the growth may be anywhere: then the part is unknown."""
    held = measured([(60.0, None, 10.0, False)], 450)
    broke = measured([(ms, None, 400.0, False)], 450)

    assert broken_part(Objective(450, 0.01), held, broke) == part


def test_large_figures_are_written_out():
    """Not 1.6e+03, and readable: groups of three digits."""
    large = replace(VERDICT, users=1600, requests_per_s=1599.7, broken_users=1671)

    assert "handle 1,600 requests per second from 1,600 users" in large.sentence()
    assert "at 1,671 users p95" in large.sentence()


def test_what_broke_may_be_failures_or_one_endpoint():
    """The share of failures, not a latency beside the point; and whose limit it was."""
    failed = replace(VERDICT, broken_part="failures", broken_fail_ratio=0.496)
    endpoint = replace(VERDICT, broken_endpoint="GET /tests")

    assert "; at 360 users 49.6 % of requests failed. Confirmed" in failed.sentence()
    assert "; at 360 users p95 of GET /tests was 1,210 ms: requests waited" in endpoint.sentence()


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"broken_users": 360}, "at least 345, below 360 users: time was up after 60 s."),
        ({"broken_users": None}, "from at least 345 users: time was up after 60 s."),
        ({"users": 0}, "with 360 users; at 360 users p95 was 1,210 ms"),
        ({"users": 0, "broken_users": None}, "Nothing is known about the application: time was up"),
    ],
)
def test_a_search_that_ended_early_says_what_is_known(known, words):
    """Both bounds, one, or none; with the reason in each case, and "at least" for programs."""
    verdict = replace(VERDICT, limit="time", reason="time was up after 60 s", **known)

    assert words in verdict.sentence()
    assert "time was up after 60 s" in verdict.sentence()
    assert verdict.details()["at_least"] is True


def test_notes_stand_beside_the_answer():
    """What did not count is said in the same breath."""
    verdict = replace(VERDICT, notes=("Left out: 12 of type KPI (not HTTP).",))

    assert verdict.sentence().endswith("same result. Left out: 12 of type KPI (not HTTP).")
