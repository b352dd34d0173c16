"""Thresholds: what is understood, what is refused, and what comes of judging."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from swarmscope.runs import thresholds
from swarmscope.runs.model import ComponentSummary, Summary
from swarmscope.runs.thresholds import FAILED, NOT_JUDGED, PASSED, Outcome, Threshold, judge, parse

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL = Summary(
    name="", request_type="", part="response", requests=1000, failures=10, fail_ratio=0.01,
    requests_per_s=50.0, mean_ms=20.0, p50_ms=18.0, p90_ms=30.0, p95_ms=40.0, p99_ms=80.0,
    max_ms=99.0, since=NOW, until=NOW, scope="after_ramp_up", scope_text="After ramp-up",
    objective_met=True,
)  # fmt: skip
SUMMARIES = [
    ALL,
    replace(ALL, part="service", requests=990, p95_ms=25.0),
    replace(ALL, part="queue", requests=990, p95_ms=5.0),
    replace(ALL, name="/tests?limit=9", request_type="GET", requests=700, p95_ms=35.0),
    replace(ALL, name="nameless", p95_ms=45.0),
]
OF_ALL = ComponentSummary(
    name="", request_type="", part="db", requests=980, used=490, mean=10.0, p50=9.0, p90=20.0,
    p95=30.0, p99=40.0, max=50.0, since=NOW, until=NOW, scope="after_ramp_up",
    scope_text="After ramp-up",
)  # fmt: skip
COMPONENTS = [
    OF_ALL,
    replace(OF_ALL, part="db_calls", mean=41.2),
    replace(
        OF_ALL, part="db_calls", mean=5.0, requests=700, name="/tests?limit=9", request_type="GET"
    ),
]


@pytest.mark.parametrize(
    ("metric", "text", "threshold"),
    [
        ("p95", "450", Threshold("p95", 450.0)),
        ("p95", " 4.5e2 ", Threshold("p95", 450.0)),
        ("p99", "GET /tests=300", Threshold("p99", 300.0, "GET /tests")),
        ("queue-p95", "GET /a?b=c= 3 ", Threshold("queue-p95", 3.0, "GET /a?b=c")),
        ("db-p95", "GET /orders=40", Threshold("db-p95", 40.0, "GET /orders")),
        ("db-calls", "GET /orders=5", Threshold("db-calls", 5.0, "GET /orders")),
        ("rps", "0", Threshold("rps", 0.0)),
        ("fail-ratio", "0.01", Threshold("fail-ratio", 0.01)),
        ("fail-ratio", "POST /tests=2%", Threshold("fail-ratio", 0.02, "POST /tests")),
        ("p95", "GET /x?page=1&key=PW=300", Threshold("p95", 300.0, "GET /x?page=1&key=***")),
        ("p95", "GET /x?page=1&key=***=300", Threshold("p95", 300.0, "GET /x?page=1&key=***")),
        ("capacity-users", "50", Threshold("capacity-users", 50.0)),
        ("pool-use", "80%", Threshold("pool-use", 0.8)),
        ("workers-use", "shop=0.9", Threshold("workers-use", 0.9, "shop")),
        ("run-delay", "5", Threshold("run-delay", 5.0)),
        ("promql", 'max(a{b="c"}) <=0.8', Threshold("promql", 0.8, 'max(a{b="c"})')),
        ("promql", "a == 3 >= 2", Threshold("promql", 2.0, "a == 3", is_min=True)),
    ],
)
def test_what_is_understood(metric, text, threshold):
    """A number for all endpoints together; what stands after the last '=' for one of them."""
    assert parse(metric, text) == threshold
    assert parse(metric, threshold.text) == threshold


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("p95", ""),
        ("p95", "fast"),
        ("p95", "450ms"),
        ("p95", "5%"),
        ("p95", "-1"),
        ("p95", "nan"),
        ("p95", "inf"),
        ("p95", "=300"),
        ("p95", "GET /tests="),
        ("fail-ratio", "2"),
        ("fail-ratio", "101%"),
        ("capacity-users", "GET /tests=3"),
        ("pool-use", "80"),
        ("promql", "0.8"),
        ("promql", "a=0.8"),
        ("promql", "a == 0.8"),
        ("promql", "<=0.8"),
        ("promql", "a<=80%"),
    ],
)
def test_what_is_refused(metric, text):
    """One line that repeats what was given."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refusal:
        parse(metric, text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("metric", "text", "verdict", "value", "requests"),
    [
        ("p50", "18", PASSED, 18.0, 1000),
        ("p95", "39.9", FAILED, 40.0, 1000),
        ("p99", "80", PASSED, 80.0, 1000),
        ("service-p95", "24", FAILED, 25.0, 990),
        ("queue-p95", "5", PASSED, 5.0, 990),
        ("db-p95", "29", FAILED, 30.0, 980),
        ("db-calls", "41", FAILED, 41.2, 980),
        ("db-calls", "42", PASSED, 41.2, 980),
        ("db-calls", "GET /tests?limit=9=5", PASSED, 5.0, 700),
        ("rps", "50", PASSED, 50.0, 1000),
        ("rps", "50.1", FAILED, 50.0, 1000),
        ("fail-ratio", "0.009", FAILED, 0.01, 1000),
        ("avg-response-time", "20", PASSED, 20.0, 1000),
        ("p95", "GET /tests?limit=9=35", PASSED, 35.0, 700),
        ("p95", "nameless=44", FAILED, 45.0, 1000),
    ],
)
def test_each_is_held_to_its_own_figure(metric, text, verdict, value, requests):
    """Of the right part and endpoint, from the right side, the limit itself still being held."""
    (outcome,) = judge([parse(metric, text)], SUMMARIES, components=COMPONENTS)

    assert (outcome.verdict, outcome.value, outcome.requests) == (verdict, value, requests)


@pytest.mark.parametrize(
    ("metric", "text", "summaries", "reason"),
    [
        ("p95", "1", [], "there are no requests"),
        ("p95", "GET /x=1", SUMMARIES, "no requests of 'GET /x'; there are GET /tests?limit=9"),
        ("service-p95", "nameless=1", SUMMARIES, "Server-Timing"),
        ("queue-p95", "1", SUMMARIES[:2], "X-Request-Start"),
        (
            "cpu-p95",
            "1",
            SUMMARIES,
            "no response had 'cpu' in Server-Timing: nothing used it, or it",
        ),
        ("http-calls", "1", SUMMARIES, "no response had 'http' in Server-Timing"),
        ("db-calls", "1", [ALL], "no response had the service's times (Server-Timing)"),
        ("capacity-users", "1", SUMMARIES, "no capacity was found"),
        ("p95", "nameless=1", [*SUMMARIES, replace(ALL, request_type="nameless")], "several"),
    ],
)
def test_what_cannot_be_judged_says_why(metric, text, summaries, reason):
    """No requests, no such endpoint, no times of the server, no capacity: neither pass nor fail."""
    (outcome,) = judge([parse(metric, text)], summaries)

    assert (outcome.verdict, outcome.value) == (NOT_JUDGED, None)
    assert reason in outcome.reason


@pytest.mark.parametrize(("users", "verdict"), [(50, PASSED), (49, FAILED), (0, FAILED)])
def test_a_capacity_is_held_to_its_users(users, verdict):
    """At least so many."""
    (outcome,) = judge([parse("capacity-users", "50")], [], capacity={"users": users})

    assert outcome.verdict == verdict


@pytest.mark.parametrize(
    ("users", "broken", "verdict"),
    [(50, 80, PASSED), (27, 80, NOT_JUDGED), (27, None, NOT_JUDGED), (27, 50, FAILED)],
)
def test_a_search_that_ended_early_leaves_open_what_it_does_not_know(users, broken, verdict):
    """At least what held passes, from what broke on fails; in between nobody can tell."""
    known = {"users": users, "broken_users": broken, "limit": "time", "reason": "time was up"}
    (outcome,) = judge([parse("capacity-users", "50")], [], capacity=known)

    assert outcome.verdict == verdict
    if verdict == NOT_JUDGED:
        below = ", below 80" if broken else ""
        assert outcome.reason == f"time was up: at least 27{below} users"


@pytest.mark.parametrize("limit", ["generator", "bound"])
def test_a_search_that_did_not_find_the_limit_of_the_service_cannot_fail(limit):
    """Whatever it did not try may hold, or not."""
    known = {"users": 49, "broken_users": None, "limit": limit}

    def verdict(**more: object) -> str:
        (outcome,) = judge([parse("capacity-users", "50")], [], capacity={**known, **more})
        return outcome.verdict

    assert verdict() == NOT_JUDGED
    assert verdict(broken_users=52) == NOT_JUDGED, "broken by the generator"
    assert verdict(users=50) == PASSED


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], 0),
        ([PASSED, PASSED], 0),
        ([PASSED, FAILED], 3),
        ([PASSED, NOT_JUDGED], 4),
        ([NOT_JUDGED, FAILED], 3),
    ],
)
def test_the_exit_status(verdicts, status):
    """A failure is certain, whatever else could not be judged."""
    threshold = parse("p95", "1")

    assert thresholds.exit_status([Outcome(threshold, "", v) for v in verdicts]) == status


def test_an_incomplete_run_is_not_judged():
    """Its figures are shown; whether it held nobody knows, of those that seem to fail neither."""
    outcomes = judge([parse("p95", "1"), parse("p95", "GET /x=1")], SUMMARIES)
    told = thresholds.unjudged(outcomes, "the run is not over")

    assert [outcome.verdict for outcome in told] == [NOT_JUDGED, NOT_JUDGED]
    assert told[0].value == 40.0
    assert told[0].reason == "the run is not over"
    assert "GET /x" in told[1].reason


@pytest.mark.parametrize(
    ("metric", "text", "requests", "verdict"),
    [
        ("p50", "20", 4, NOT_JUDGED),
        ("p50", "20", 5, PASSED),
        ("p95", "450", 2, NOT_JUDGED),
        ("p95", "450", 58, NOT_JUDGED),
        ("p95", "450", 59, PASSED),
        ("p95", "1", 58, NOT_JUDGED),
        ("p99", "450", 298, NOT_JUDGED),
        ("p99", "450", 299, PASSED),
        ("service-p95", "450", 58, NOT_JUDGED),
        ("fail-ratio", "0.01", 99, NOT_JUDGED),
        ("fail-ratio", "0.01", 100, PASSED),
        ("fail-ratio", "0.001", 2, FAILED),
        ("rps", "1", 2, PASSED),
    ],
)
def test_too_few_requests_pass_no_gate(metric, text, requests, verdict):
    """Of fewer than a percentile takes nothing is known; more failures than allowed are certain."""
    rows = [replace(ALL, requests=requests), replace(ALL, part="service", requests=requests)]
    (outcome,) = judge([parse(metric, text)], rows)

    assert (outcome.verdict, outcome.requests) == (verdict, requests)
    assert outcome.value is not None
    assert bool(outcome.reason) == (verdict == NOT_JUDGED)
    if outcome.reason:
        assert f"{requests:,} requests are too few" in outcome.reason
