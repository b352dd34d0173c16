"""What a real Prometheus knows of the resources that settings name, by PromQL or by a preset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.backfilled import Samples, Value, prometheus_with

from swarmscope.runs import server_series
from swarmscope.runs.resources.model import ResourceKey, Usage
from swarmscope.runs.resources.presets import PRESETS
from swarmscope.runs.services import Targets

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE, UNTIL = START + timedelta(seconds=30), START + timedelta(seconds=90)


def grows(per_s: float) -> Value:
    """Return a counter that grows by *per_s* each second."""
    return lambda at_s: 1000 + per_s * at_s


def stays(value: float) -> Value:
    """Return a gauge that is always *value*."""
    return lambda at_s: value


def of_node(instance: str, busy: float) -> Samples:
    """Return what a node_exporter says of two cores."""
    cpu, at = "node_cpu_seconds_total", f'instance="{instance}"'
    return {
        **{f'{cpu}{{{at},cpu="{n}",mode="user"}}': grows(busy / 2) for n in range(2)},
        **{f'{cpu}{{{at},cpu="{n}",mode="idle"}}': grows(1 - busy / 2) for n in range(2)},
        f"node_pressure_cpu_waiting_seconds_total{{{at}}}": grows(0.5),
        f"node_memory_MemTotal_bytes{{{at}}}": stays(8e9),
        f"node_memory_MemAvailable_bytes{{{at}}}": stays(2e9),
        f"node_pressure_memory_waiting_seconds_total{{{at}}}": grows(0),
        f'node_disk_io_time_seconds_total{{{at},device="sda"}}': grows(0.9),
        f'node_disk_io_time_seconds_total{{{at},device="sdb"}}': grows(0.1),
        f"node_pressure_io_waiting_seconds_total{{{at}}}": grows(0.25),
    }


MAIL = 'queue_length{queue="mail"}'
LOCKED = 'state="active",wait_event_type="Lock"'
SAMPLES: Samples = {
    **of_node("a:9100", 1.5),
    **of_node("b:9100", 0.5),
    'pg_stat_activity_count{instance="db",datname="x",state="idle",wait_event_type=""}': stays(20),
    f'pg_stat_activity_count{{instance="db",datname="x",{LOCKED}}}': stays(4),
    'pg_stat_activity_count{instance="db",datname="y",state="active",wait_event_type=""}': stays(6),
    'pg_settings_max_connections{instance="db"}': stays(100),
    'redis_cpu_user_main_thread_seconds_total{instance="r"}': grows(0.5),
    'redis_cpu_sys_main_thread_seconds_total{instance="r"}': grows(0.25),
    'redis_cpu_user_seconds_total{instance="r"}': grows(0.75),
    'redis_cpu_sys_seconds_total{instance="r"}': grows(0.5),
    'redis_memory_used_bytes{instance="r"}': stays(1e6),
    'redis_memory_max_bytes{instance="r"}': stays(0),
    'redis_connected_clients{instance="r"}': stays(7),
    'redis_config_maxclients{instance="r"}': stays(10000),
    'nginx_connections_active{instance="n"}': stays(300),
    MAIL: stays(12),
    'queue_length{queue="sms"}': stays(3),
    "jobs_seconds_total": grows(2.5),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """Return the URL of a Prometheus that knows two minutes of some exporters."""
    with prometheus_with(SAMPLES, START, 120, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def read(url: str, **tables: dict[str, object]) -> dict[str, tuple[float | None, ...]]:
    """Return what is known of the resources in *tables*, in the middle, by their name."""
    capture = server_series.read(url, SINCE, UNTIL, Targets(resources=json.dumps(tables)))
    return {key.detail: figures(usage) for key, usage in capture.resources.items()}


def figures(usage: Usage) -> tuple[float | None, ...]:
    """Return places, used and waiting in the middle."""
    middle = (points[len(points) // 2] for points in (usage.places, usage.used, usage.waiting))
    return tuple(value if value is None else pytest.approx(value, rel=1e-3) for value in middle)


def test_a_preset_of_each_exporter(url):
    """All of their resources; a limit of 0 is none, and of threads the one that runs commands."""
    found = read(
        url,
        app={"preset": "node", "match": 'instance="a:9100"'},
        db={"preset": "postgres"},
        cache={"preset": "redis"},
        proxy={"preset": "nginx", "limit": 1024},
    )
    assert found == {
        "app CPU": (2, 1.5, 0.5),
        "app memory": (8e9, 6e9, 0),
        "app disk": (1, 0.9, 0.25),
        "db connections": (100, 30, None),
        "db active sessions": (None, 10, 4),
        "cache CPU": (1, 0.75, None),
        "cache memory": (None, 1e6, None),
        "cache clients": (10000, 7, None),
        "proxy connections": (1024, 300, None),
    }


def test_promql_of_ones_own(url):
    """A number is a query, too, and a rate has the window that Grafana's would have."""
    found = read(
        url,
        mail={
            "use": 'queue_length{queue="mail"}',
            "limit": "2 * 8",
            "waiting": "sum(queue_length)",
        },
        jobs={"use": "rate(jobs_seconds_total[$__rate_interval])"},
    )
    assert found == {"mail": (16, 12, 15), "jobs": (None, 2.5, None)}


def test_what_is_wrong_is_logged_and_the_rest_is_stored(url, caplog):
    """A line for each, with what Prometheus says of it."""
    found = read(
        url,
        bad={"use": "sum(queue_length"},
        several={"use": "queue_length"},
        many={"preset": "node"},
        none={"use": "queue_size"},
        limit={"use": "sum(queue_length)", "limit": "rate(queue_length)"},
        good={"use": "sum(queue_length)"},
    )
    assert list(found) == ["good"]
    said = [line.getMessage() for line in caplog.records if "is left out" in line.getMessage()]
    assert len(said) == 4 + len(PRESETS["node"])
    assert said[0].startswith("The resource 'bad' is left out: use: Prometheus rejects the query: ")
    assert "unclosed left parenthesis" in said[0]
    assert said[1].startswith("The resource 'several' is left out: use has 2 series: one is needed")
    assert said[-2].endswith("Prometheus knows nothing of its use: queue_size")
    assert "limit: Prometheus rejects the query" in said[-1]


def test_a_line_is_logged_once(url, caplog):
    """The page reads a running run again and again."""
    for _ in range(2):
        read(url, once={"use": "nothing_of_that_name"})
    assert len([line for line in caplog.records if "'once'" in line.getMessage()]) == 1


def test_the_key_is_that_of_the_run(url):
    """They belong to no service."""
    text = json.dumps({"mail": {"use": "sum(queue_length)"}})
    window = server_series.read(url, SINCE, UNTIL, Targets(resources=text))
    assert list(window.resources) == [ResourceKey("", "setting", "mail")]
