"""The utilisation law with real parts: what counters say is in use is what stopwatches counted.

A closed load against a real gunicorn, whose pool is all but full, scraped by a real Prometheus.
The integral of the mean number in use is the time for which places were held: U·m = X·D.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from support.backfilled import prometheus_that_scrapes
from support.gunicorn import ROOT, running_gunicorn
from support.held_service import PATHS, PLACES
from support.waiting import free_port, poll_until

from swarmscope.runs.prometheus import Axis, Prometheus
from swarmscope.runs.resources import readings, route_demands
from swarmscope.runs.resources.model import ResourceKey, RouteDemand, Usage
from swarmscope.runs.resources.readings import Readings

CLIENTS, THREADS = 5, 8
ARGUMENTS = (
    "-c", "python:swarmscope.server.serve", "-w", "1", "-k", "gthread", "--threads", str(THREADS),
    "support.held_service:create_app()",
)  # fmt: skip
SCRAPE, WINDOW_S = "500ms", 3
MARGIN_S = WINDOW_S / 2  # before and after the load: each second of it is in as many windows
WARM_UP_S = 1.5  # Prometheus extrapolates less what was near zero, since it cannot have been below
SLACK = 0.05


@dataclass(frozen=True)
class Measured:
    """What Prometheus and the stopwatches say of one load."""

    readings: Readings
    demands: list[RouteDemand]
    held: dict[str, float]  # seconds, by the stopwatches
    requests: dict[str, int]  # by path, as clients counted them

    def usage(self, kind: str, detail: str = "") -> Usage:
        """Return the usage of a resource of the service."""
        return self.readings.resources[ResourceKey("shop", kind, detail)]

    def seconds(self, points: list[float | None]) -> float:
        """Return the integral over the load."""
        return sum(filter(None, points))  # of points a second apart

    def stopwatch(self, what: str) -> float:
        """Return what stopwatches counted, of all routes together."""
        return sum(seconds for name, seconds in self.held.items() if name.split()[0] == what)


@contextmanager
def sleeping() -> Iterator[str]:
    """Run a service that answers ``/?ms=N`` after that time; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(float(self.path.partition("=")[2]) / 1000)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def drive(url: str, seconds: float) -> dict[str, int]:
    """Send requests from `CLIENTS` clients, one after the other; return how many of each path."""
    counts = dict.fromkeys(PATHS, 0)
    lock, end = threading.Lock(), time.monotonic() + seconds

    def client(number: int) -> None:
        chance, session = random.Random(number), requests.Session()
        session.trust_env = False
        while time.monotonic() < end:
            path = chance.choice(list(PATHS))
            assert session.get(url + path, timeout=30).status_code == 200
            with lock:
                counts[path] += 1

    clients = [threading.Thread(target=client, args=[number]) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return counts


def measure(directory: Path, seconds: float, quiet_s: float) -> Measured:
    """Drive a service for *seconds*, with nothing *quiet_s* before and after."""
    metrics = free_port()
    with sleeping() as called:
        environment = {
            "CALLED": called,
            "PYTHONPATH": f"{ROOT / 'tests'}",
            "SWARMSCOPE_METRICS_PORT": str(metrics),
        }
        with (
            prometheus_that_scrapes({"shop": f"127.0.0.1:{metrics}"}, SCRAPE, directory) as url,
            running_gunicorn(
                *ARGUMENTS, log=directory / "log", directory=directory, environment=environment
            ) as server,
        ):
            return _measured(server.url, url, seconds, quiet_s)


def _measured(service: str, url: str, seconds: float, quiet_s: float) -> Measured:
    asked = Prometheus(url, time.monotonic() + 60)
    poll_until(lambda: asked.at(time.time(), "up == 1"), "the first scrape", seconds=60)
    drive(service, WARM_UP_S)
    time.sleep(quiet_s)
    before, began = stopwatches(service), time.time()
    counts = drive(service, seconds)
    ended, after = time.time(), stopwatches(service)
    time.sleep(quiet_s)
    axis = Axis(began - MARGIN_S, 1, round(ended - began + 2 * MARGIN_S) + 1)
    found = readings.read(Prometheus(url), axis, WINDOW_S, "shop")
    since, until = (datetime.fromtimestamp(at, UTC) for at in (began, ended))
    demands = route_demands.read(url, since, until, "shop", 1, known=found.resources)
    held = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return Measured(found, demands, held, counts)


def stopwatches(service: str) -> dict[str, float]:
    """Return the seconds that the service's own stopwatches counted."""
    return dict(requests.get(f"{service}/stopwatch", timeout=30).json())


@pytest.mark.proof
def test_what_is_in_use_is_what_stopwatches_counted(tmp_path):
    """Connections, calls, CPU, and what waits for a connection; routes add up to it."""
    measured = measure(tmp_path, seconds=20, quiet_s=2 * MARGIN_S + 0.5)
    check_routes(measured)

    pool = measured.usage("pool", "main")
    (service,) = [
        usage for key, usage in measured.readings.resources.items() if key.kind == "service"
    ]
    found = {
        "pool": measured.seconds(pool.used),
        "waiting": measured.seconds(pool.waiting),
        "service": measured.seconds(service.used),
        "python": measured.seconds(measured.usage("python").used),
        "workers": measured.seconds(measured.usage("workers").used),
    }
    expected = {name: pytest.approx(measured.stopwatch(name), rel=SLACK) for name in found}
    assert found == expected
    assert {*filter(None, pool.places)} == {PLACES}
    assert max(filter(None, pool.used)) <= PLACES * (1 + SLACK)
    held = sum(one.held_s for one in measured.demands if one.kind == "pool")
    assert held == pytest.approx(found["pool"], rel=SLACK)


def test_routes_held_what_stopwatches_counted(tmp_path):
    """Exact differences; requests are those that clients counted."""
    check_routes(measure(tmp_path, seconds=3, quiet_s=1.5))


def check_routes(measured: Measured) -> None:
    """Compare the differences of counters with stopwatches and with clients."""
    for kind in ("pool", "workers"):
        found = {one.route: one for one in measured.demands if one.kind == kind}
        held = {route: one.held_s for route, one in found.items() if route in PATHS}
        expected = {route: measured.held[f"{kind} {route}"] for route in PATHS}
        assert held == pytest.approx(expected, rel=SLACK)
        counted = {route: one.requests for route, one in found.items() if route in PATHS}
        assert counted == measured.requests
