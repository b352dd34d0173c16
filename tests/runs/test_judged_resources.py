"""What thresholds on resources are held to: means over the judged time, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.answering import answering, lines

from swarmscope.runs.judged_resources import JudgedTime
from swarmscope.runs.resources.model import KINDS, ResourceKey, Usage
from swarmscope.runs.server_series import Capture
from swarmscope.runs.thresholds import METRICS, PROMQL, USES, parse

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POINTS = 11  # two seconds apart


def usage(places: float, *used: float | None) -> Usage:
    known = [*used, *[used[-1]] * (POINTS - len(used))]
    return Usage([places] * POINTS, known, [None] * POINTS)


RESOURCES = {
    ResourceKey("shop", "pool", "main"): usage(10, 0, 0, 0, 0, 0, 4, 8, 8, 8, 8, 9),
    ResourceKey("shop", "pool", "reports"): usage(5, 1),
    ResourceKey("pricing", "pool", "main"): usage(10, 1),
    ResourceKey("shop", "workers"): Usage(
        [2, 2, 4, 4] * 2 + [4] * 3, [1, 1, 4, 4] * 2 + [4] * 3, []
    ),
    ResourceKey("", "database_connections", "orders"): usage(100, *[None] * 8, 40),
    ResourceKey("", "generator"): usage(2, 1),
}
SERIES = {
    ("shop", "run_delay_ms"): [10.0] * 6 + [40.0] * 5,
    ("shop", "requests_per_s"): [30.0] * 6 + [10.0] * 5,
    ("pricing", "run_delay_ms"): [None] * POINTS,
}
CAPTURE = Capture(START, 2.0, SERIES, resources=RESOURCES)


def judged(since_s: int, until_s: int, **also) -> JudgedTime:
    span = (START + timedelta(seconds=at) for at in (since_s, until_s))
    return JudgedTime(also.pop("capture", CAPTURE), *span, **also)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pool-use 0.8", 0.8),  # the fullest of three
        ("pool-use reports=0.8", 0.2),
        ("pool-use shop=0.8", 0.8),  # the fuller of two
        ("pool-use main=0.8", 0.8),
        ("pool-use pricing main=0.8", 0.1),
        ("generator-use 0.8", 0.5),
        ("run-delay 5", 40.0),
        ("run-delay shop=5", 40.0),
    ],
)
def test_the_mean_of_the_judged_time_counts(text, value):
    """Not of the time before, and of the fullest resource that is meant."""
    found, _ = judged(12, 18).figure(parse(*text.split(" ", 1)))

    assert found == pytest.approx(value)


def test_places_that_came_and_went_are_added_up():
    """Used and places are sums over the time, so an idle start does not count as much as a peak."""
    found, _ = judged(0, 6).figure(parse("workers-use", "0.8"))

    assert found == pytest.approx((1 + 1 + 4 + 4) / (2 + 2 + 4 + 4))


def test_delays_count_as_often_as_requests_had_them():
    found, _ = judged(0, 20).figure(parse("run-delay", "5"))

    assert found == pytest.approx((10 * 30 * 6 + 40 * 10 * 5) / (30 * 6 + 10 * 5))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cpu-use 0.8", "cpu use was not measured"),
        ("connections-use 0.8", "connections use was not measured"),  # 3 of 11 moments
        ("pool-use other=0.8", "pool use of 'other' was not measured; there are main, pricing"),
        ("run-delay pricing=1", "run delay/request of 'pricing' was not measured; there are shop"),
        ("promql a<=1", "PROMETHEUS_URL"),
    ],
)
def test_what_was_not_measured_is_not_judged(text, reason):
    found, why = judged(0, 20).figure(parse(*text.split(" ", 1)))

    assert found is None
    assert reason in why


def test_a_run_without_series_is_not_judged():
    found, why = judged(0, 20, capture=None).figure(parse("pool-use", "0.8"))

    assert (found, why) == (None, "the services' metrics were not stored with the run")


@pytest.mark.parametrize(("text", "value"), [("a<=1", 4.0), ("a>=1", 2.0)])
def test_an_expression_is_asked_over_the_judged_time(text, value):
    """The mean of each series; of several the worst."""
    asked = []

    def answer(form, headers) -> bytes:
        asked.append((form["query"], float(form["start"]), float(form["end"])))
        at = float(form["start"])
        return lines(("x", [(at, "1"), (at + 2, "3")]), ("y", [(at, "4"), (at + 4, "NaN")]))

    with answering(answer) as url:
        found, _ = judged(4, 20, prometheus=url).figure(parse("promql", text))

    assert found == value
    assert asked == [("a", START.timestamp() + 4, START.timestamp() + 20)]


def test_an_expression_without_a_value_is_not_judged():
    with answering(lambda form, headers: lines()) as url:
        found, why = judged(4, 20, prometheus=url).figure(parse("promql", "a<=1"))

    assert (found, why) == (None, "Prometheus has no value of a")


def test_each_kind_of_resource_that_can_be_limited_is_one():
    """Names of thresholds and of resources do not drift apart."""
    assert set(USES.values()) <= set(KINDS)
    assert {m.resource for m in METRICS.values()} == {"", *USES.values(), "run_delay", PROMQL}
