"""Which statements a route repeats in each request, in figures and in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarmscope.runs.call_counts import NOT_TOLD_APART, OTHER, CallCount, CallCounts, StatementCount
from swarmscope.runs.document import LevelCalls
from swarmscope.runs.statement_figures import outgoing, sentences, statements

ITEM = "SELECT items.id, items.name FROM items WHERE id = ?"
ORDERS = "SELECT id FROM orders WHERE customer_id = ?"
REPEATED = StatementCount(0, "shop", "GET", "/orders", ITEM, 20, 1.0, 780, 780, 0.6, 0.02)
ONCE = replace(REPEATED, statement=ORDERS, calls=20, rows=400, seconds=0.1, longest_s=0.01)
REST = replace(REPEATED, statement=OTHER, calls=24, rows=0, seconds=0.05, longest_s=None)


def said(*counts: StatementCount) -> list[str]:
    return sentences(statements(CallCounts(counts)))


def test_figures_are_per_request():
    """Times in ms; a share of the service time of the route's requests."""
    repeated, once, rest = statements(CallCounts([ONCE, REPEATED, REST]))

    assert (repeated.statement, once.statement, rest.statement) == (ITEM, ORDERS, OTHER)
    assert (repeated.calls, repeated.per_request, repeated.rows) == (780, 39.0, 780)
    assert (repeated.time_ratio, once.time_ratio) == (0.6, 0.1)
    assert repeated.mean_ms == pytest.approx(1000 * 0.6 / 780)
    assert (repeated.max_ms, rest.max_ms) == (20.0, None)
    assert statements(None) is None
    assert statements(CallCounts()) == []


def test_statements_of_a_route_are_together_those_that_took_most_first():
    """Also where another route's single statement took more time than some of them."""
    slow = replace(REPEATED, url_rule="/report", calls=1, seconds=0.5)
    found = statements(CallCounts([REPEATED, slow, ONCE, REST]))

    assert [(one.url_rule, one.statement) for one in found] == [
        ("/orders", ITEM), ("/orders", ORDERS), ("/orders", OTHER), ("/report", ITEM)
    ]  # fmt: skip


def test_levels_stand_beside_the_whole():
    """How a statement grew with the load."""
    level = replace(REPEATED, level=2, requests=10, calls=100, seconds=0.4)
    (found,) = statements(CallCounts([REPEATED, level]))

    assert found.levels == [LevelCalls(level=2, calls=100, per_request=10.0, mean_ms=4.0)]


def test_what_is_repeated_is_said():
    """With all statements of the request; the columns that it selects do not matter."""
    assert said(REPEATED, ONCE, REST) == [
        "GET /orders: 41.2 statements per request, 39 of them SELECT … FROM items WHERE id = ?"
    ]
    lines = replace(REPEATED, statement="SELECT count(*) FROM lines", calls=200, seconds=0.2)
    pricing = replace(ONCE, job="pricing", url_rule="/price")
    assert said(REPEATED, lines, pricing) == [
        "shop, GET /orders: 49 statements per request, 39 of them SELECT … FROM items WHERE id = ?"
        " and 10 of them SELECT count(*) FROM lines"
    ]


@pytest.mark.parametrize(
    "count",
    [
        replace(REPEATED, calls=60),  # three alike are no loop
        replace(REPEATED, requests=9, calls=9 * 39),  # too few requests
        replace(REPEATED, seconds=0.015),  # less than a ms of a request
        replace(REPEATED, statement=OTHER),  # of several texts
        replace(REPEATED, statement=NOT_TOLD_APART, method=""),
    ],
)
def test_what_is_not_said(count):
    """No name is better than a wrong one."""
    assert said(count, ONCE) == []


def test_outgoing_calls():
    """By host and method, with their share of errors."""
    call = CallCount(0, "shop", "pricing:80", "GET", 20, 40, 4, 2.0)
    (found,) = outgoing(CallCounts((), [call, replace(call, level=1, calls=10, seconds=0.1)]))

    assert (found.service, found.host, found.method) == ("shop", "pricing:80", "GET")
    assert (found.calls, found.per_request, found.mean_ms, found.error_ratio) == (
        40,
        2.0,
        50.0,
        0.1,
    )
    assert found.levels == [LevelCalls(level=1, calls=10, per_request=0.5, mean_ms=10.0)]
    assert outgoing(None) is None
