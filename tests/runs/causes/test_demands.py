"""How long a request holds a place, and how many requests fit."""

from __future__ import annotations

import pytest
from support.two_loads import HELD, capture

from swarmscope.runs.causes.demands import demands
from swarmscope.runs.resources.model import ResourceKey

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
