"""The resources of a run from a real Prometheus: places, use from counters, and what waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.backfilled import Samples, Value, prometheus_with

from swarmscope.runs import server_series
from swarmscope.runs.resources.model import QUOTA, ResourceKey, Usage
from swarmscope.runs.server_series import Capture
from swarmscope.runs.services import Targets

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE, UNTIL = START + timedelta(seconds=30), START + timedelta(seconds=90)
SECONDS = 120
END = START + timedelta(seconds=SECONDS)
TARGETS = Targets(names=["shop"])
RATE = 40.0  # requests per second


def grows(per_s: float) -> Value:
    """Return a counter that grows by *per_s* each second."""
    return lambda at_s: 1000 + per_s * at_s


def stays(value: float) -> Value:
    """Return a gauge that is always *value*."""
    return lambda at_s: value


def ends(value: Value) -> Value:
    """Return *value* of a service that is there no more after `END`."""
    return lambda at_s: value(at_s) if at_s <= SECONDS else None


def restarts(per_s: float) -> Value:
    """Return such a counter of a process that restarted."""
    return lambda at_s: per_s * (at_s if at_s < 40 else at_s - 40)


SHOP: Samples = {
    'gunicorn_workers{job="shop",instance="a:1"}': stays(2),
    'up{job="shop",instance="a:1"}': stays(1),
    'flask_http_request_duration_seconds_count{job="shop",url_rule="/a"}': grows(RATE / 4),
    'flask_http_request_duration_seconds_count{job="shop",url_rule="/b"}': restarts(RATE * 3 / 4),
    'flask_http_request_held_seconds_total{job="shop",url_rule="/a"}': grows(1.25),
    'flask_http_request_held_seconds_total{job="shop",url_rule="/b"}': restarts(2),
    'gunicorn_concurrency_limit{job="shop"}': stays(4),
    'gunicorn_worker_cpu_seconds_total{job="shop",slot="0"}': grows(0.5),
    'gunicorn_worker_cpu_seconds_total{job="shop",slot="1"}': grows(0.25),
    'gunicorn_worker_run_delay_seconds_total{job="shop",slot="0"}': grows(0.2),
    'gunicorn_worker_run_delay_seconds_total{job="shop",slot="1"}': grows(0.4),
    'gunicorn_worker_wake_delay_seconds_total{job="shop",slot="0"}': grows(0.1),
    'gunicorn_worker_wakes_total{job="shop",slot="0"}': grows(20),
    'gunicorn_worker_queued_connections{job="shop",slot="0"}': stays(2),
    'gunicorn_worker_queued_connections{job="shop",slot="1"}': stays(4),
    'gunicorn_worker_loop_lag_seconds{job="shop",slot="0"}': stays(0.004),
    'gunicorn_backlog_connections{job="shop"}': stays(10),
    'gunicorn_backlog_limit{job="shop"}': stays(2048),
    'gunicorn_worker_open_files{job="shop",slot="0"}': stays(30),
    'gunicorn_worker_open_files{job="shop",slot="1"}': stays(50),
    'gunicorn_open_files_limit{job="shop"}': stays(1024),
    'flask_http_request_part_seconds_total{job="shop",url_rule="/a",part="db"}': grows(0.3),
    'flask_http_request_part_seconds_total{job="shop",url_rule="/b",part="db"}': grows(0.1),
    'flask_http_outgoing_seconds_total{job="shop",host="pricing:80",method="GET"}': grows(1.5),
    'flask_db_pool_connections{job="shop",pool="main",state="limit"}': stays(10),
    'flask_db_pool_connections{job="shop",pool="main",state="in_use"}': stays(5),
    'flask_db_pool_connections{job="shop",pool="main",state="waiting"}': stays(1),
    'flask_db_pool_hold_seconds_sum{job="shop",url_rule="/a"}': grows(3.5),
    'flask_db_pool_hold_seconds_count{job="shop",url_rule="/a"}': grows(40),
    'flask_db_pool_wait_seconds_sum{job="shop",pool="main"}': grows(0.75),
    'flask_db_pool_wait_seconds_count{job="shop",pool="main"}': grows(40),
    'flask_db_pool_connections{job="slow",pool="main",state="in_use"}': stays(3),
    'flask_db_pool_connections{job="slow",pool="main",state="waiting"}': stays(2),
    'flask_db_pool_hold_seconds_sum{job="slow",url_rule="/a"}': grows(4),
    'flask_db_pool_hold_seconds_count{job="slow",url_rule="/a"}': grows(0.1),
    'flask_db_pool_wait_seconds_sum{job="slow",pool="main"}': stays(70),
    'flask_db_pool_wait_seconds_count{job="slow",pool="main"}': stays(7),
    'up{job="slow",instance="s:1"}': stays(1),
    'machine_cpus{job="shop"}': stays(1.5),
    'machine_cpu_quota{job="shop"}': stays(1.5),
    'machine_cpu_seconds_total{job="shop",whose="own"}': grows(0.9),
    'machine_cpu_seconds_total{job="shop",whose="others"}': grows(0.3),
    'machine_cpu_steal_seconds_total{job="shop"}': grows(0.05),
    'machine_cpu_throttled_seconds_total{job="shop"}': grows(2.5),
    'machine_cpu_pressure_seconds_total{job="shop"}': grows(0.6),
    'machine_memory_pressure_seconds_total{job="shop"}': grows(0.1),
    'machine_memory_bytes{job="shop",state="limit"}': stays(1e9),
    'machine_memory_bytes{job="shop",state="used"}': stays(4e8),
}
SWARM: Samples = {
    'locust_users{job="swarm",instance="b:1"}': stays(100),
    'locust_worker_cpu_ratio{job="swarm",instance="b:1",worker="x"}': stays(0.5),
    'locust_worker_cpu_ratio{job="swarm",instance="b:1",worker="y"}': stays(0.7),
    'locust_worker_run_delay_ratio{job="swarm",instance="b:1",worker="x"}': stays(0.1),
    'locust_worker_run_delay_ratio{job="swarm",instance="b:1",worker="y"}': stays(0.2),
    'locust_event_loop_lag_seconds{job="swarm",instance="b:1",worker="x"}': stays(0.001),
    'locust_event_loop_lag_seconds{job="swarm",instance="b:1",worker="y"}': stays(0.003),
    'machine_cpus{job="swarm",instance="b:1"}': stays(8),
    'machine_cpu_seconds_total{job="swarm",instance="b:1",whose="own"}': grows(1.25),
    'machine_cpu_seconds_total{job="swarm",instance="b:1",whose="others"}': grows(0.5),
    'machine_cpu_steal_seconds_total{job="swarm",instance="b:1"}': grows(0.25),
    'machine_local_ports{job="swarm",instance="b:1",state="limit"}': stays(28000),
    'machine_local_ports{job="swarm",instance="b:1",state="used"}': stays(700),
}
IDLE: Samples = {  # another swarm, which does nothing now
    'locust_users{job="locust",instance="c:1"}': stays(0),
    'locust_worker_cpu_ratio{job="locust",instance="c:1",worker="x"}': stays(0.01),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """Return the URL of a Prometheus that knows a shop and two swarms."""
    directory = tmp_path_factory.mktemp("prometheus")
    shop = {series: ends(value) for series, value in SHOP.items()}
    with prometheus_with({**shop, **SWARM, **IDLE}, START, 2 * SECONDS, directory) as url:
        yield url


@pytest.fixture(scope="module")
def capture(url) -> Capture:
    """Return the capture of a minute."""
    return server_series.read(url, SINCE, UNTIL, TARGETS)


def middle(points) -> float | None:
    """Return the value in the middle, where no end of the data is near."""
    value = points[len(points) // 2]
    return value if value is None else pytest.approx(value, rel=1e-3)


def figures(usage: Usage) -> tuple[float | None, ...]:
    """Return places, used and waiting in the middle of the run."""
    return tuple(map(middle, (usage.places, usage.used, usage.waiting)))


def test_every_resource_of_a_service(capture):
    """Also where a process restarted meanwhile, and where labels are several."""
    found = {key: figures(usage) for key, usage in capture.resources.items() if key.job}
    assert found == {
        ResourceKey("shop", "workers"): (4, 3.25, 10 + 6),
        ResourceKey("shop", "python"): (2, 0.75, 0.6),
        ResourceKey("shop", "cpu", QUOTA): (1.5, 1.2, 0.6),  # nothing is stolen from a quota
        ResourceKey("shop", "memory"): (1e9, 4e8, 0.1),
        ResourceKey("shop", "pool", "main"): (10, 3.5, 0.75),  # as counted, not as seen
        ResourceKey("shop", "service", "pricing:80"): (None, 1.5, None),
        ResourceKey("shop", "backlog"): (2048, 10, None),
        ResourceKey("shop", "files"): (1024, 50, None),
    }


def test_what_takes_long_is_as_it_was_seen(url):
    """Seconds are counted when a connection is returned: a window has none of them, or too many."""
    slow = server_series.read(url, SINCE, UNTIL, Targets(names=["slow"]))
    usage = slow.resources[ResourceKey("slow", "pool", "main")]
    assert (set(usage.used), set(usage.waiting)) == ({3}, {2})


def test_the_generator_by_its_metrics(capture):
    """Whatever its job is called; another one that has no users is not it."""
    found = {key: figures(usage) for key, usage in capture.resources.items() if not key.job}
    assert found == {
        ResourceKey("", "generator"): (2, 1.2, 0.3),
        ResourceKey("", "generator_cpu"): (8, 2.0, 0.3),
        ResourceKey("", "ports"): (28000, 700, None),
    }


def test_series_that_explain(capture):
    """Means per request, and what others had of the machine."""
    expected = {
        ("shop", "part_db_ms"): 10,
        ("shop", "run_delay_ms"): 15,
        ("shop", "worker_queue_ms"): 150,
        ("shop", "accept_queue_ms"): 250,
        ("shop", "loop_lag_ms"): 4,
        ("shop", "wake_delay_ms"): 5,
        ("shop", "cpu_others_cores"): 0.3,
        ("shop", "cpu_steal_cores"): 0.05,
        ("shop", "cpu_throttled_ratio"): 1,
        ("shop", "cpu_pressure_ratio"): 0.6,
        ("shop", "memory_pressure_ratio"): 0.1,
        ("", "loop_lag_ms"): 3,
        ("", "cpu_others_cores"): 0.5,
        ("", "cpu_steal_cores"): 0.25,
    }
    known = server_series.RATES.keys() | server_series.GAUGES.keys()
    found = {key: middle(points) for key, points in capture.series.items() if key[1] not in known}
    assert found == expected


def test_every_point_is_on_the_axis(capture):
    """Each has 31 points, and where a counter restarted, no gap."""
    lengths = {
        len(points) for usage in capture.resources.values() for points in vars(usage).values()
    }
    assert lengths == {31}
    assert None not in capture.resources[ResourceKey("shop", "workers")].used


def test_without_any_service_the_generator_is_known(url):
    """A swarm against something that serves no metrics may be its own limit."""
    alone = server_series.read(url, END + timedelta(seconds=10), END + timedelta(seconds=50))

    assert alone.services == ()
    assert {key.kind for key in alone.resources} == {"generator", "generator_cpu", "ports"}
    assert figures(alone.resources[ResourceKey("", "generator")]) == (2, 1.2, 0.3)
