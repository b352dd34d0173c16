"""Resources are stored with the run, and read again as they were."""

from __future__ import annotations

from datetime import UTC, datetime

from support.stored_runs import Sample, store_run

from swarmscope.runs import captures
from swarmscope.runs.resources.model import ResourceKey, RouteDemand, Usage
from swarmscope.runs.server_series import Capture

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_they_are_stored_with_the_run(connection):
    """What is unknown stays unknown."""
    run = store_run(connection, [Sample(1, 5)], start=START)
    resources = {
        ResourceKey("", "generator"): Usage([2.0, 2.0], [0.5, None], [None, None]),
        ResourceKey("shop", "pool", "main"): Usage([10.0, 10.0], [3.5, 9.9], [0.0, 40.5]),
    }
    demands = [
        RouteDemand(0, "shop", "pool", "main", "/orders", 37.5, 500),
        RouteDemand(0, "shop", "workers", "", "/", 2.5, 400),
        RouteDemand(1, "shop", "pool", "main", "/orders", 7.5, 100),
    ]
    capture = Capture(START, 2.0, {}, resources=resources, demands=demands)
    assert captures.store(connection, run, capture)

    stored = captures.stored(connection, run)
    assert (stored.resources, stored.demands) == (resources, demands)


def test_what_a_run_names(connection):
    """The PromQL of its settings is stored with it, for whoever asks Prometheus later."""
    run = store_run(connection, [Sample(1, 5)], start=START)
    assert captures.targets(connection, run).resources == ""
    connection.execute("UPDATE testrun SET resources = 'x'")
    assert captures.targets(connection, run).resources == "x"
