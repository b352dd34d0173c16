"""How long a request holds a place, and how many requests fit."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from support.two_loads import HELD, capture

from swarmscope.runs.causes.demands import demands
from swarmscope.runs.resources.model import ResourceKey, RouteDemand

SHOP = "shop"


def figures(key, used, others=(0.1, 0.1)):
    series = {"requests_per_s": (22.0, 45.0), "cpu_others_cores": others}
    (found,) = demands(capture({SHOP: series}, {key: (2, used, (0, 0))}), HELD)
    return found


def test_a_ceiling_is_places_over_the_time_that_a_request_holds_one():
    found = figures(ResourceKey(SHOP, "pool", "shop"), (1.0, 1.98))

    assert found.demand_ms == pytest.approx(1000 / 22)
    assert found.ceiling_per_s == pytest.approx(44.0)


def test_what_others_use_of_the_cpu_is_not_free():
    found = figures(ResourceKey(SHOP, "cpu"), (1.0, 1.5), others=(0.5, 0.5))

    assert found.demand_ms == pytest.approx(1000 * 0.5 / 22)
    assert found.ceiling_per_s == pytest.approx(1.5 / (0.5 / 22))


def test_a_cpu_that_others_want_whole_has_no_ceiling():
    """The scheduler gives the service a share, not what others leave: it had 58 requests/s here."""
    found = figures(ResourceKey(SHOP, "cpu"), (1.99, 2.0), others=(1.925, 1.868))

    assert found.demand_ms is not None
    assert found.ceiling_per_s is None


def test_connections_that_pools_keep_open_have_no_ceiling():
    found = figures(ResourceKey("", "database_connections", "shop"), (1.5, 1.9))

    assert found.used is not None
    assert found.ceiling_per_s is None


def test_what_others_use_for_each_request_is_part_of_what_it_needs():
    """A database or a generator on the same machine: here 10 ms, beside 20 ms of the service."""
    key = ResourceKey(SHOP, "cpu")
    others = (0.1 + 0.01 * 22, 0.1 + 0.01 * 45)
    found = figures(key, (0.02 * 22 + others[0], 0.02 * 45 + others[1]), others)

    assert found.demand_ms == pytest.approx(20)
    assert found.ceiling_per_s == pytest.approx((2 - 0.1) / 0.030, rel=0.02)


def test_workers_that_wait_for_a_connection_need_not_be_held_so_long():
    key, pool = ResourceKey(SHOP, "workers"), ResourceKey(SHOP, "pool", "shop")
    used = {key: (8, (2.2, 4.5), (0, 0)), pool: (2, (1, 1.9), (1.1, 2))}
    series = {SHOP: {"requests_per_s": (22.0, 45.0)}}

    found = {one.kind: one for one in demands(capture(series, used), HELD)}

    assert found["workers"].demand_ms == pytest.approx(100)
    assert found["workers"].ceiling_per_s == pytest.approx(8 / 0.05)


def test_workers_and_connections_that_wait_for_a_row_lock_need_not_be_held_so_long():
    """Who waits is sampled at moments, and so is averaged over the window that rates have."""
    keys = [ResourceKey(*key) for key in ((SHOP, "workers"), (SHOP, "pool", "shop"))]
    lock = ResourceKey("", "database_lock", "shop")
    used = {
        keys[0]: (8, (2.2, 5), (0, 0)),
        keys[1]: (4, (1.1, 3), (0, 0)),
        lock: (1, (0.4, 1), (0, 0)),
    }
    made = capture({SHOP: {"requests_per_s": (22.0, 45.0)}}, used)
    waiting = [2.2 if at % 4 == 0 else 0.0 for at in range(40)]
    made.resources[lock] = replace(made.resources[lock], waiting=waiting)

    found = {one.kind: one for one in demands(made, range(2, 18))}

    assert found["workers"].demand_ms == pytest.approx(100)
    assert found["workers"].ceiling_per_s == pytest.approx(8 / 0.075, rel=0.02)
    assert found["pool"].ceiling_per_s == pytest.approx(4 / 0.025, rel=0.05)


def test_ceilings_are_forecasts_where_nothing_was_used_by_70_percent():
    key = ResourceKey(SHOP, "pool", "shop")

    assert figures(key, (1.3, 1.98)).forecast
    assert not figures(key, (1.5, 1.98)).forecast


def test_an_interval_encloses_the_ceiling_and_is_wider_where_use_varies():
    """By batches of time: of points that differ at random, from those that hardly do."""
    key = ResourceKey(SHOP, "pool", "shop")
    widths = []
    for spread in (0.02, 0.2):
        made = capture({SHOP: {"requests_per_s": (22.0, 45.0)}}, {key: (2, (1, 1.98), (0, 0))})
        dice = Random(1)
        used = [1 + dice.uniform(-spread, spread) for _ in range(40)]
        usage = replace(made.resources[key], used=used)
        (found,) = demands(replace(made, resources={key: usage}), HELD)
        assert found.ceiling_low_per_s < found.ceiling_per_s < found.ceiling_high_per_s
        widths.append(found.ceiling_high_per_s - found.ceiling_low_per_s)

    assert 3 < widths[1] / widths[0] < 30


def test_a_few_points_have_no_interval():
    key = ResourceKey(SHOP, "pool", "shop")
    made = capture({SHOP: {"requests_per_s": (22.0, 45.0)}}, {key: (2, (1, 1.98), (0, 0))})

    (found,) = demands(made, range(4))

    assert found.ceiling_per_s == pytest.approx(44.0)
    assert (found.ceiling_low_per_s, found.ceiling_high_per_s) == (None, None)


def test_routes_that_hold_most_come_first():
    """Of the level that is asked for, or of the whole run."""
    key = ResourceKey(SHOP, "pool", "shop")
    rows = [(0, "/a", 10.0, 100), (0, "/b", 30.0, 100), (2, "/a", 9.0, 90), (2, "/b", 1.0, 10)]
    held = tuple(
        RouteDemand(level, SHOP, "pool", "shop", route, held_s, requests)
        for level, route, held_s, requests in rows
    )
    series = {SHOP: {"requests_per_s": (22.0, 45.0)}}
    made = capture(series, {key: (2, (1, 1.98), (0, 0))}, demands=held)

    def routes(level):
        (found,) = demands(made, HELD, level)
        return [(one.route, one.held_ms, one.share) for one in found.routes]

    assert routes(0) == [("/b", 300.0, 0.75), ("/a", 100.0, 0.25)]
    assert routes(2) == [("/a", 100.0, 0.9), ("/b", 100.0, 0.1)]
    assert routes(1) == routes(0)
