"""10,000 users on two cores: everything on one machine, the stock stack beside ours.

    python -m benchmarks.ten_thousand saturate                 # requests/s at most, stock and ours
    python -m benchmarks.ten_thousand hold --requests-per-s N  # 10,000 users at N, for 3 minutes
    python -m benchmarks.ten_thousand capacity                 # development server and ours

Each prints a table for docs/performance.md. API, PostgreSQL, Prometheus, Locust with its workers
and the shipper share the machine's cores; the native stack has the settings of a first `make up`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from benchmarks._gunicorn import ROOT, STOCK, serving
from benchmarks._native import LocustUi, Native, await_true, native
from benchmarks._ports import free_port
from swarmscope.runs.queries import runs, summary, verdict

USERS_FILE = "benchmarks/_ten_thousand_users.py"
STOCK_USERS_FILE = "benchmarks/_ten_thousand_stock.py"
SETTLE_S = 5.0
DISPERSION = 'locust_arrival_dispersion_ratio{worker="all"}'


@dataclass(frozen=True)
class Rate:
    """One saturated stretch: what its requests/s were, by the rows in the database."""

    requests_per_s: float
    failures: int


@click.group()
def main() -> None:
    """Measure 10,000 users on one machine."""


@main.command()
@click.option("--users", default=50, show_default=True, help="Each sends one after the other.")
@click.option("--seconds", default=20.0, show_default=True, help="Measured seconds of a stretch.")
@click.option("--rounds", default=5, show_default=True)
def saturate(users: int, seconds: float, rounds: int) -> None:
    """Requests/s at most: the stock stack and ours, taking turns."""
    found: dict[str, list[Rate]] = {"stock": [], "ours": []}
    with native(USERS_FILE) as stack, stock_api(stack) as api, stock_locust(stack) as locust:
        targets = {"ours": (stack.ui, stack.url("API_PORT")), "stock": (locust, api)}
        for _ in range(rounds):
            for kind in random.sample(sorted(targets), len(targets)):
                ui, host = targets[kind]
                found[kind].append(saturated(stack, ui, host, users, seconds))
    click.echo("| round | stock requests/s | ours | ours ÷ stock | failed: stock | ours |")
    click.echo("|---|---|---|---|---|---|")
    pairs = list(zip(found["stock"], found["ours"], strict=True))
    for number, (stock, ours) in enumerate(pairs, 1):
        ratio = ours.requests_per_s / stock.requests_per_s
        click.echo(
            f"| {number} | {stock.requests_per_s:,.0f} | {ours.requests_per_s:,.0f}"
            f" | {ratio:.2f} | {stock.failures} | {ours.failures} |"
        )
    ratios = [ours.requests_per_s / stock.requests_per_s for stock, ours in pairs]
    click.echo(f"median ratio {statistics.median(ratios):.2f}")


def saturated(stack: Native, ui: LocustUi, host: str, users: int, seconds: float) -> Rate:
    """Run one swarm and return its rate, from requests that began in the middle of it."""
    ui.start(users, users, host, "Saturating")
    time.sleep(SETTLE_S)
    began = datetime.now().astimezone()
    time.sleep(seconds)
    ended = datetime.now().astimezone()
    ui.stop()
    with stack.runs() as connection:
        query = "SELECT count(*), count(exception) FROM request WHERE time >= %s AND time < %s"
        last = -1
        while (row := connection.execute(query, (began, ended)).fetchone()) and row[0] != last:
            last = row[0]  # until nothing more arrives
            time.sleep(2)
        assert row is not None
        return Rate(row[0] / seconds, row[1])


@contextlib.contextmanager
def stock_api(stack: Native) -> Iterator[str]:
    """Serve the API with sync workers and the stock exporter, scraped by the stack's Prometheus."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        options = ("-w", str(os.cpu_count() or 1), "-k", "sync")
        database = f"sqlite:///{directory}/api.sqlite3"
        with serving(
            "benchmarks._stock_api:create_app()",
            *options,
            hooks=STOCK.format(port=port),
            API_DATABASE_URL=database,
            PROMETHEUS_MULTIPROC_DIR=directory,
        ) as server:
            targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"job": "stock"}}]
            file = stack.home / "prometheus/targets/stock.json"
            file.write_text(json.dumps(targets))
            yield server.address()
            file.unlink()


@contextlib.contextmanager
def stock_locust(stack: Native) -> Iterator[LocustUi]:
    """Run the stock load generator with as many workers as ours, on the same runs database."""
    web, bind = free_port(), free_port()
    options = ["--timescale", "--class-picker", "--web-host", "127.0.0.1", "--web-port", str(web)]
    options += ["--master-bind-port", str(bind), "--master-port", str(bind), "--stop-timeout", "10"]
    processes = ["--processes", str(os.cpu_count() or 1)]
    command = [sys.executable, "-m", "locust", "-f", STOCK_USERS_FILE, *options, *processes]
    settings = {"PGHOST": "127.0.0.1", "PGPORT": stack.environment["POSTGRES_PORT"]}
    settings |= {"PGUSER": "swarmscope", "PGDATABASE": "swarmscope"}
    settings |= {"PGPASSFILE": str(stack.home / "pgpass")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
        )
        ui = LocustUi(f"http://127.0.0.1:{web}")
        try:
            await_true(lambda: _is_ready(ui), "stock Locust")
            yield ui
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(ui: LocustUi) -> bool:
    try:
        return len(ui.state()["workers"]) == (os.cpu_count() or 1)
    except OSError:
        return False


@dataclass(frozen=True)
class Held:
    """A swarm that was held: its run, conservation, and what it cost."""

    text: str
    sent: int
    counted: int
    stored: int
    dispersion: float
    cores: dict[str, float]  # CPU seconds a second, by kind of process


@main.command()
@click.option("--users", default=10_000, show_default=True)
@click.option("--requests-per-s", required=True, type=float, help="70 % of what `saturate` found.")
@click.option("--ramp", "ramp_s", default=100.0, show_default=True, help="Seconds.")
@click.option("--seconds", default=180.0, show_default=True)
@click.option("--wait", "waits", multiple=True, default=("Stock", "Spread"), show_default=True)
@click.option("--reports", type=click.Path(path_type=Path), help="Directory for the runs' pages.")
def hold(
    users: int,
    requests_per_s: float,
    ramp_s: float,
    seconds: float,
    waits: tuple[str, ...],
    reports: Path | None,
) -> None:
    """Hold many users at a rate, with the stock wait time and with the spread one."""
    found: dict[str, Held] = {}
    with native(USERS_FILE, PACE_S=str(users / requests_per_s)) as stack:
        for wait in waits:
            found[wait] = held(stack, wait, users, ramp_s, seconds)
            if reports:
                stack.report(reports / f"{wait.lower()}.html")
    times = "response time p50, p95, p99 | service time | queue"
    click.echo(f"| wait | requests/s | {times} | failed | dispersion |")
    click.echo("|---|---|---|---|---|---|---|")
    for wait, result in found.items():
        click.echo(f"| {wait} | {result.text} | {result.dispersion:.1f} |")
    click.echo("\n| wait | sent | counted | stored |\n|---|---|---|---|")
    for wait, result in found.items():
        click.echo(f"| {wait} | {result.sent:,} | {result.counted:,} | {result.stored:,} |")
    click.echo("\n| CPU, cores | " + " | ".join(found) + " |\n|---|" + "---|" * len(found))
    for kind in sorted({kind for result in found.values() for kind in result.cores}):
        cells = (f"{result.cores.get(kind, 0):.2f}" for result in found.values())
        click.echo(f"| {kind} | " + " | ".join(cells) + " |")


def held(stack: Native, wait: str, users: int, ramp_s: float, seconds: float) -> Held:
    """Ramp up, hold, stop, wait until the run is complete; return its figures."""
    before = stack.counted()
    stack.ui.start(users, users / ramp_s, stack.url("API_PORT"), wait)
    cpu, began = stack.cpu_s(), time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - began
    cores = {kind: (spent - cpu.get(kind, 0)) / lasted for kind, spent in stack.cpu_s().items()}
    dispersion = _prometheus(stack, f"max(avg_over_time({DISPERSION}[{seconds:.0f}s]))")
    stack.ui.stop()
    with stack.runs() as connection:
        await_true(lambda: runs(connection, 1)[0].complete, "complete run")
        run = runs(connection, 1)[0]
        stored = connection.execute(
            "SELECT count(*) FROM request WHERE run_id = %s", (run.run_id,)
        ).fetchone()
        parts = {row.part: row for row in summary(connection, run.run_id) if not row.name}
    cells = [f"{run.requests_per_s or 0:,.0f}"]
    for part in ("response", "service", "queue"):
        row = parts[part]
        cells.append(f"{row.p50_ms:.1f}, {row.p95_ms:.0f}, {row.p99_ms:.0f} ms")
    assert stored is not None
    return Held(
        " | ".join([*cells, str(run.failures)]),
        stack.ui.sent_at_last(),
        stack.counted() - before,
        stored[0],
        dispersion,
        cores,
    )


def _prometheus(stack: Native, query: str) -> float:
    url = stack.url("PROMETHEUS_PORT", "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
    with urllib.request.urlopen(url, timeout=30) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else float("nan")


@main.command()
@click.option("--start", default=50, show_default=True, help="Users of the first level.")
def capacity(start: int) -> None:
    """Run the capacity search on the development server and on ours, with the classic user."""
    click.echo("| service | verdict | search |\n|---|---|---|")
    with native(USERS_FILE) as stack:
        with development_server() as address:
            click.echo(f"| development server | {searched(stack, address, start)} |")
        click.echo(f"| ours | {searched(stack, stack.url('API_PORT'), start)} |")


def searched(stack: Native, host: str, start: int) -> str:
    """Search for the capacity of the service at *host* and return the finder's sentence."""
    choice = {"user_classes": ["Classic"], "shape_class": "Capacity"}
    stack.ui.post("/swarm", user_count=1, spawn_rate=1, host=host, capacity_start=start, **choice)
    began = time.monotonic()
    with stack.runs() as connection:
        while True:
            time.sleep(5)
            for run in runs(connection, 1):
                if found := verdict(connection, run.run_id):
                    return f"{found.text} | {time.monotonic() - began:.0f} s"
                if run.status != "running" and run.complete:
                    return f"none: the run is {run.status} |"


@contextlib.contextmanager
def development_server() -> Iterator[str]:
    """Serve the API as the classic tutorials do: ``flask run``, one process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        settings = {**os.environ, "API_DATABASE_URL": f"sqlite:///{directory}/api.sqlite3"}
        command = [sys.executable, "-m", "flask", "--app", "api", "run", "--port", str(port)]
        with (Path(directory) / "log").open("w+") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log)
            try:
                address = f"http://127.0.0.1:{port}"
                await_true(lambda: re.search("Running on", Path(log.name).read_text()), address)
                yield address
            finally:
                process.terminate()
                process.wait(20)


if __name__ == "__main__":
    main()
