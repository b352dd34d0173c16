"""A running `component_service`, and how far its components are from what a stopwatch says."""

from __future__ import annotations

import contextlib
import http.client
import statistics
from collections.abc import Iterator
from pathlib import Path

from support.gunicorn import ROOT, running_gunicorn
from support.server_timing import ENTRY
from support.waiting import free_port

REPEATS = 3
WORKERS = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "8"),
    "gevent": ("-k", "gevent"),
}


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


@contextlib.contextmanager
def running_bench(worker: str, called: str, directory: Path, **environment: str) -> Iterator[Bench]:
    """Run the service in one *worker*; *called* is the URL of the service that it calls."""
    port = free_port()
    environment |= {
        "CALLED": called,
        "DATABASE": f"sqlite:///{directory / 'bench.db'}",
        "PYTHONPATH": f"{ROOT / 'tests'}",
        "SWARMSCOPE_METRICS_PORT": str(port),
    }
    with running_gunicorn(
        "-c", "python:swarmscope.server.serve", "-w", "1", *WORKERS[worker],
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
