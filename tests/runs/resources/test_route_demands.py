"""How long routes held places: exact differences, of the run and of its levels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.backfilled import Samples, Value, prometheus_with

from swarmscope.runs.counters import Level
from swarmscope.runs.resources import route_demands
from swarmscope.runs.resources.model import QUOTA, ResourceKey, RouteDemand
from swarmscope.runs.resources.route_demands import MAX_ROUTES, OTHER

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POOL, CPU = ResourceKey("shop", "pool", "main"), ResourceKey("shop", "cpu", QUOTA)


def at(seconds: float) -> datetime:
    """Return the moment *seconds* after the first scrape."""
    return START + timedelta(seconds=seconds)


def grows(per_s: float, since_s: float = 0.0) -> Value:
    """Return a counter that appears after *since_s* and grows by *per_s* each second."""
    return lambda at_s: per_s * (at_s - since_s) if at_s > since_s else None


def labels(job: str, route: str, more: str = "") -> str:
    """Return the labels of a series."""
    return f'{{job="{job}",url_rule="{route}"{more}}}'


REQUESTS = "flask_http_request_duration_seconds_count"
HELD = "flask_http_request_held_seconds_total"
PART = "flask_http_request_part_seconds_total"
SAMPLES: Samples = {
    REQUESTS + labels("shop", "/a", ',method="GET"'): grows(10),
    REQUESTS + labels("shop", "/a", ',method="POST"'): grows(2),
    REQUESTS + labels("shop", "/b", ',method="GET"'): grows(5, since_s=40),
    HELD + labels("shop", "/a"): grows(1.5),
    HELD + labels("shop", "/b"): grows(0.5, since_s=40),
    "flask_db_pool_hold_seconds_sum" + labels("shop", "/a"): grows(3),
    PART + labels("shop", "/a", ',part="cpu"'): grows(0.25),
    PART + labels("shop", "/a", ',part="db"'): grows(2),
    PART + labels("shop", "/a", ',part="http"'): grows(0.75),
    PART + labels("shop", "/a", ',part="other"'): grows(7),
    HELD + labels("somebody", "/a"): grows(100),
    **{REQUESTS + labels("wide", f"/{n:02}"): grows(1) for n in range(30)},
    **{HELD + labels("wide", f"/{n:02}"): grows(n + 1) for n in range(30)},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """Return the URL of a Prometheus that knows two minutes of some services."""
    with prometheus_with(SAMPLES, START, 120, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def test_exact_differences_of_the_run_and_its_levels(url):
    """From the last scrape before to the first one after; a route that is new began at zero."""
    levels = [Level(1, at(20), at(40)), Level(2, at(40), at(60))]
    found = route_demands.read(url, at(20), at(98), "shop", 2, levels, [POOL, CPU])

    def a(level: int, kind: str, held_s: float, requests: int, detail: str = "") -> RouteDemand:
        return RouteDemand(level, "shop", kind, detail, "/a", pytest.approx(held_s), requests)

    def b(level: int, held_s: float, requests: int) -> RouteDemand:
        return RouteDemand(level, "shop", "workers", "", "/b", pytest.approx(held_s), requests)

    assert found == [
        a(0, "pool", 240, 960, "main"),
        a(0, "database", 160, 960),
        a(0, "workers", 120, 960),
        a(0, "service", 60, 960),
        b(0, 30, 300),
        a(0, "cpu", 20, 960, QUOTA),
        a(0, "python", 20, 960),
        a(1, "pool", 60, 240, "main"),
        a(1, "database", 40, 240),
        a(1, "workers", 30, 240),
        a(1, "service", 15, 240),
        a(1, "cpu", 5, 240, QUOTA),
        a(1, "python", 5, 240),
        a(2, "pool", 60, 240, "main"),
        a(2, "database", 40, 240),
        a(2, "workers", 30, 240),
        a(2, "service", 15, 240),
        b(2, 10, 100),
        a(2, "cpu", 5, 240, QUOTA),
        a(2, "python", 5, 240),
    ]


def test_routes_are_bounded(url):
    """Those that held longest in the run have rows of their own; the others are one row."""
    found = route_demands.read(url, at(20), at(98), "wide", 2, [Level(1, at(20), at(40))])

    for level, seconds in ((0, 80), (1, 20)):
        rows = [one for one in found if one.level == level]
        rest = [one for one in rows if one.route == OTHER]
        assert len(rows) == MAX_ROUTES + 1
        assert {one.route for one in rows} == {OTHER, *(f"/{n:02}" for n in range(10, 30))}
        assert [(one.held_s, one.requests) for one in rest] == [(55 * seconds, 10 * seconds)]


def test_of_several_pools_nobody_knows_which(url):
    """Connections that routes held are not counted by pool."""
    known = [POOL, ResourceKey("shop", "pool", "reports")]
    found = route_demands.read(url, at(20), at(98), "shop", 2, known=known)
    assert [one.detail for one in found if one.kind == "pool"] == [""]
