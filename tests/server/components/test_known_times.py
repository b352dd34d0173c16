"""Each component is found where a stopwatch in the service says that the time went.

Figures of proofs are medians of several requests: on a busy machine a thread may lose its CPU
between two clocks that are read one after the other.
"""

from __future__ import annotations

import http.client
import statistics
import threading

import pytest
from support.gunicorn import ROOT, running_gunicorn
from support.scraping import scrape
from support.server_timing import ENTRY
from support.waiting import free_port

REPEATS = 3
WORKERS = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "8"),
    "gevent": ("-k", "gevent"),
}
ALONE = (
    "cpu:20", "other:30", "http:30", "body:30", "timeout:30", "fetch:30", "insert:100", "pool:40",
    "nested:30",
)  # fmt: skip
MIXED = "cpu:10,http:20,fetch:20,other:10,pool:30,cpu:5,nested:10,insert:50"


class Bench:
    """A running service and the deviations of its responses."""

    def __init__(self, port: int, metrics: str) -> None:
        self.port, self.metrics = port, metrics

    def deviations(self, query: str) -> list[dict[str, tuple[float, float]]]:
        """Return (expected, found) milliseconds by component of several requests."""
        return [self.deviation(query) for _ in range(REPEATS)]

    def deviation(self, query: str) -> dict[str, tuple[float, float]]:
        """Return them of one request; `rest` is the remainder as it is, not clamped."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/?{query}")
        response = connection.getresponse()
        response.read()
        connection.close()
        found = {
            name: float(ms) for name, ms, _ in ENTRY.findall(response.headers["Server-Timing"])
        }
        found["other"] = found.pop("app") - sum(found.values())
        prefix = "Took-"
        expected = {
            name.removeprefix(prefix).lower(): float(ms)
            for name, ms in response.headers.items()
            if name.startswith(prefix)
        }
        return {name: (ms, found.get(name, 0.0)) for name, ms in expected.items()} | {
            "rest": (0.0, found["other"])
        }


@pytest.fixture(name="bench", params=WORKERS, scope="module")
def _bench(request, called_by_all, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    port = free_port()
    environment = {
        "CALLED": called_by_all.url,
        "DATABASE": f"sqlite:///{directory / 'bench.db'}",
        "PYTHONPATH": f"{ROOT / 'tests'}",
        "SWARMSCOPE_METRICS_PORT": str(port),
    }
    with running_gunicorn(
        "-c", "python:swarmscope.server.serve", "-w", "1", *WORKERS[request.param],
        "support.component_service:create_app()",
        log=directory / "log", directory=directory, environment=environment,
    ) as server:  # fmt: skip
        yield Bench(server.port, f"http://127.0.0.1:{port}/metrics")


def check(deviations: list[dict[str, tuple[float, float]]], slack_ms: float) -> None:
    """Assert that components are right: within 5 % or 0.5 ms, and the remainder not negative.

    *slack_ms* is the CPU that the service may need besides; how long it waited for that is `other`.
    """
    for name in deviations[0]:
        if name == "rest":  # two clocks, of the thread and of the machine, may differ by a hair
            assert min(one["rest"][1] for one in deviations) > -0.1, deviations
            continue
        expected = statistics.median(one[name][0] for one in deviations)
        off = statistics.median(one[name][1] - one[name][0] for one in deviations)
        tolerance = max(0.5, 0.05 * expected)
        more = {"cpu": slack_ms, "other": float("inf")}.get(name, 0.0)
        assert -tolerance <= off <= tolerance + more, (name, deviations)


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
