"""One run: a service that is served as anybody's is, Locust against it, and what is known of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from benchmarks._gunicorn import OURS, ROOT, serving
from benchmarks._native import SWARMSCOPE, await_true
from benchmarks._ports import free_port, free_ports
from benchmarks.starved.cases import Case, Service
from benchmarks.starved.surroundings import Database, cpu_quota, neighbours
from swarmscope.runs import captures, document, queries
from swarmscope.runs.causes.demands import demands, mean
from swarmscope.runs.connection import Connection
from swarmscope.runs.database import connect
from swarmscope.runs.document import Document, ResourceFigures
from swarmscope.runs.server_series import MIN_WINDOW_S, Capture
from swarmscope.stack.ports import PORTS

APP = "benchmarks.starved.service:create_app()"
USERS_FILE = ROOT / "benchmarks/starved/users.py"
RAMP_S = 1.0
RATE_EDGE_S = MIN_WINDOW_S / 2  # rates are means of a window: both ends of a level are left out
PATIENCE_S = 180.0  # beyond the levels, for a run on a busy machine
WARM_UP_S = 6.0  # of the level that breaks: until as many requests wait as there ever will
WARM_UP_REQUESTS = 16  # of each route, at once
SECOND_LEVEL = "Stage level 2"
NUMBERS = count(1)  # of runs


@dataclass(frozen=True)
class Stack:
    """A runs database and a Prometheus."""

    home: Path
    environment: dict[str, str]

    @contextlib.contextmanager
    def scraping(self, job: str, address: str) -> Iterator[None]:
        """Have Prometheus scrape a target until the block ends."""
        file = self.home / f"prometheus/targets/{job}.json"
        file.write_text(json.dumps([{"targets": [address], "labels": {"job": job}}]))
        try:
            yield
        finally:
            file.unlink()

    def runs(self) -> Connection:
        """Return a connection to the runs database."""
        return connect((self.home / "database.url").read_text().strip())

    def command(self, *words: str) -> str:
        """Return what a verb of swarmscope prints."""
        command = [*SWARMSCOPE, *words]
        where = self.home.parent
        done = subprocess.run(
            command, cwd=where, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    """Start a runs database and a Prometheus, and stop them when the block ends."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-") as directory:
        home = Path(directory).resolve() / "home"
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        own = {"SWARMSCOPE_HOME": str(home), "PYTHONPATH": str(ROOT)}
        found = Stack(home, {**os.environ, **ports, **own})
        found.command("up", "--detach", "--only", "postgres", "--only", "prometheus")
        try:
            yield found
        finally:
            found.command("down")


@dataclass(frozen=True)
class Driven:
    """A run that is over: its id, when its last level began to be measured, and when it ended."""

    run_id: datetime
    name: str
    hold_s: float
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Run:
    """What a run showed: its document, and requests/s at its last level by rows in the database."""

    document: Document
    requests_per_s: float
    failures: int
    ceilings: dict[tuple[str, str], float]  # by service and kind, from the first level
    others: float | None  # cores that others used at the last level
    use: dict[str, float]  # of the places of each kind at the last level


@contextlib.contextmanager
def served(
    stack: Stack, job: str, service: Service, database: Database | None, downstream: str = ""
) -> Iterator[str]:
    """Serve a service, measured if it is to be, until the block ends; yields its address."""
    settings = {
        "routes": service.routes,
        "pool": service.pool,
        "database": database.url if database else "",
        "downstream": downstream,
    }
    hooks = OURS if service.measured else ""
    starved = json.dumps(settings)
    with (
        cpu_quota(service.quota) as prefix,
        serving(APP, *service.options, hooks=hooks, prefix=prefix, STARVED=starved) as server,
        contextlib.ExitStack() as around,
    ):
        if service.measured:
            metrics = urlsplit(server.address("Metrics")).netloc
            around.enter_context(stack.scraping(job, metrics))
        yield server.address()


@contextlib.contextmanager
def services(
    stack: Stack, case: Case, service: Service, database: Database | None
) -> Iterator[tuple[str, str]]:
    """Serve a case's services until the block ends.

    Yields the address of the first, and the URL of the one beside it. A service has another name in
    each run, so that no rate looks back to the run before.
    """
    number = next(NUMBERS)
    with contextlib.ExitStack() as running:

        def serve(name: str, which: Service, downstream: str = "") -> str:
            return running.enter_context(
                served(stack, f"{name}-{number}", which, database, downstream)
            )

        downstream = beside = ""
        if case.downstream:
            downstream = serve("downstream", case.downstream) + _path(case.downstream)
        if case.beside:
            beside = serve("beside", case.beside) + _path(case.beside)
        yield serve("shop", service, downstream), beside


def _path(service: Service) -> str:
    return next(iter(service.routes))


def drive(
    stack: Stack, case: Case, service: Service, users: Sequence[int], hold_s: float, database: Any
) -> Driven:
    """Drive *service*, as the case has it, through levels of *users*."""
    with services(stack, case, service, database) as (address, beside):
        first = [path for path in service.routes if path not in case.later]
        first += [beside] if beside else []
        paths = [first, *[case.later or first] * (len(users) - 1)]
        levels = [
            {"users": number, "ramp_s": RAMP_S, "hold_s": hold_s, "paths": path}
            for number, path in zip(users, paths, strict=True)
        ]
        burn_on = [beside] if beside else [*service.routes]
        load = {"levels": levels, "burn_ms": case.burn_ms, "burn_on": burn_on}
        _warm_up([address + path for path in service.routes])
        _swarm(stack, case, address, load, database)
    end_s = len(users) * (RAMP_S + hold_s)
    with stack.runs() as connection:
        run = queries.find(connection, "latest")
    return Driven(run.run_id, run.run, hold_s, end_s - hold_s + WARM_UP_S, end_s)


def read(stack: Stack, driven: Driven) -> Run:
    """Return what is known of a run, once all of it is stored."""
    await_true(lambda: _is_captured(stack, driven), "the services' series")
    found = document.decode(stack.command("show", driven.name, "--json", "--wait", "60"))
    with stack.runs() as connection:
        rate, failures = _rate(connection, driven)
        capture = captures.stored(connection, driven.run_id)
    assert capture
    span = RAMP_S + RATE_EDGE_S, RAMP_S + driven.hold_s - RATE_EDGE_S
    ceilings = {
        (_name(one), one.kind): one.ceiling_per_s
        for one in reversed(demands(capture, _points(capture, found, *span)))
        if one.ceiling_per_s
    }
    last = _points(capture, found, driven.begin_s, driven.end_s)
    use = {
        one.kind: one.utilisation
        for one in demands(capture, last)
        if _name(one) in ("shop", "") and one.utilisation is not None
    }
    shop = next(service.name for service in capture.services if service.name.startswith("shop"))
    others = capture.series.get((shop, "cpu_others_cores"), [])
    return Run(found, rate, failures, ceilings, mean(others, last), use)


def rate(stack: Stack, driven: Driven) -> float:
    """Return the requests/s of a run's last level, once all of them are stored."""
    stack.command("show", driven.name, "--json", "--wait", "60")
    with stack.runs() as connection:
        return _rate(connection, driven)[0]


def _name(figures: ResourceFigures) -> str:
    """Return a service's name without the run's number, "" of what belongs to none."""
    return (figures.service or "").rpartition("-")[0]


def _is_captured(stack: Stack, driven: Driven) -> bool:
    """Return whether a run has the services' series, which the shipper stores."""
    with stack.runs() as connection:
        return captures.stored(connection, driven.run_id) is not None


def _warm_up(urls: list[str]) -> None:
    """Have the workers load what their first requests need, and open their connections."""
    with ThreadPoolExecutor(WARM_UP_REQUESTS) as pool:
        for answer in pool.map(requests.get, urls * WARM_UP_REQUESTS):
            answer.raise_for_status()


def _swarm(
    stack: Stack, case: Case, address: str, load: dict[str, Any], database: Database | None
) -> None:
    """Run Locust until its levels are over; busy neighbours come with the second."""
    port = str(free_port())
    command = [*SWARMSCOPE, "locust", "-f", str(USERS_FILE), "--headless", "--only-summary"]
    command += ["--host", address, "--metrics-port", port, "--slo-p95", str(case.slo_p95_ms)]
    environment = {**stack.environment, "STARVED_LOAD": msgspec.json.encode(load).decode()}
    if database:
        environment["SWARMSCOPE_APP_DATABASE_URL"] = database.dsn
    log = stack.home.parent / "locust.log"
    with contextlib.ExitStack() as around:
        around.enter_context(stack.scraping("locust", f"127.0.0.1:{port}"))
        output = around.enter_context(log.open("wb"))
        process = subprocess.Popen(
            command, cwd=stack.home.parent, env=environment, stdout=output, stderr=output
        )
        around.callback(_end, process)
        there = case.neighbours == 0
        deadline = (
            time.monotonic()
            + sum(level["ramp_s"] + level["hold_s"] for level in load["levels"])
            + PATIENCE_S
        )
        while process.poll() is None and time.monotonic() < deadline:
            if not there and SECOND_LEVEL in log.read_text():
                around.enter_context(neighbours(case.neighbours))
                there = True
            time.sleep(0.2)
    if process.returncode not in (0, 1):  # 1: requests failed
        raise RuntimeError(log.read_text())


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _rate(connection: Connection, driven: Driven) -> tuple[float, int]:
    """Return requests/s that ended in the last level, and how many failed."""
    row = connection.execute(
        """SELECT count(*) FILTER (WHERE exception IS NULL), count(exception) FROM request
        WHERE run_id = %s AND extract(epoch FROM time - run_id) + response_time / 1000
        BETWEEN %s AND %s""",
        [driven.run_id, driven.begin_s, driven.end_s],
    ).fetchone()
    assert row
    return row[0] / (driven.end_s - driven.begin_s), row[1]


def _points(capture: Capture, found: Document, begin_s: float, end_s: float) -> range:
    """Return the points of a capture's axis in a span of the run."""
    offset_s = (capture.since - found.run.started).total_seconds()
    first, last = ((at - offset_s) / capture.step_s for at in (begin_s, end_s))
    return range(ceil(first), floor(last) + 1)
