"""Each component is found where a stopwatch in the service says that the time went.

Figures of proofs are medians of several requests: on a busy machine a thread may lose its CPU
between two clocks that are read one after the other.
"""

from __future__ import annotations

import threading

import pytest
from support.component_bench import WORKERS, check, running_bench
from support.scraping import scrape

ALONE = (
    "cpu:20", "other:30", "http:30", "body:30", "timeout:30", "fetch:30", "insert:100", "pool:40",
    "nested:30",
)  # fmt: skip
MIXED = "cpu:10,http:20,fetch:20,other:10,pool:30,cpu:5,nested:10,insert:50"


@pytest.fixture(name="bench", params=WORKERS, scope="module")
def _bench(request, called_by_all, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    with running_bench(request.param, called_by_all.url, directory) as bench:
        yield bench


@pytest.mark.proof
def test_each_component_alone(bench):
    """Also a time-out, a slow body, and a call within a statement."""
    for piece in ALONE:
        check(bench.deviations(f"do={piece}"), slack_ms=5)


def test_every_wait_is_found(bench):
    """None is shorter than the sleep in it, and together they are no more than the service time."""
    found = {name: ms for name, (_, ms) in bench.deviation(f"do={MIXED}").items()}

    assert found["http"] >= 20 + 10
    assert found["db"] >= 20
    assert found["pool"] > 0
    assert found["other"] >= 10
    assert found["cpu"] >= 0.95 * (10 + 5)
    assert found["rest"] > -0.1


@pytest.mark.proof
def test_all_components_in_one_request(bench):
    """With a plain response, one that fails, and one that streams, whose body is not counted."""
    for more in ("", "&status=503", "&stream=1"):
        check(bench.deviations(f"do={MIXED}{more}"), slack_ms=20)


@pytest.mark.proof
def test_requests_at_the_same_time(bench):
    """Each has its own CPU time, also where greenlets share a thread, and its own calls."""
    found: list[dict[str, tuple[float, float]]] = []
    threads = [
        threading.Thread(target=lambda: found.append(bench.deviation("do=http:20,cpu:10,http:20")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 6
    for one in found:
        assert one["cpu"][1] == pytest.approx(10, abs=9)  # six of them burn 60 ms
        assert one["rest"][1] > -0.1


def test_the_metrics_add_up(bench):
    """The seconds of all components are those of the service time."""
    found = scrape(bench.metrics)

    service_s = found.total("flask_http_request_duration_seconds_sum")
    parts_s = found.total("flask_http_request_part_seconds_total")
    assert parts_s == pytest.approx(service_s, rel=1e-3)
    assert found.value("flask_db_pool_connections", pool="sqlite", state="in_use") == 0
    assert found.value("flask_db_pool_connections", pool="sqlite", state="limit") == 1
    assert found.total("flask_db_pool_hold_seconds_count") > 0
