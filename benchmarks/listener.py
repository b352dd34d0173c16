"""What recording costs: the listener in the Locust process, and the shipper beside it.

python -m benchmarks.listener swarm     requests/s with and without, switched within one run
python -m benchmarks.listener samples   CPU of a sample, from the event to the database
python -m benchmarks.listener ship      rows/s that a shipper delivers
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import msgspec
import psutil

from benchmarks._listener_kinds import KINDS
from benchmarks._ports import free_port
from benchmarks._postgres import connected
from swarmscope.journal.format import Header
from swarmscope.journal.records import Continued, End, Samples, run_id
from swarmscope.journal.writer import Writer
from swarmscope.runs.schema.migrations import migrate
from swarmscope.shipper.process import Shipper
from swarmscope.stack.postgres import SUPERUSER, Cluster

ENDPOINTS = 10
REQUESTS_PER_S = 5_000  # of the swarm whose journal is shipped
BLOCK = 500


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server with an empty runs database."""

    process: psutil.Process
    where: str
    environment: dict[str, str]

    def cpu_seconds(self) -> float:
        """Return what the server has used, for its connections too."""
        processes = [self.process, *self.process.children()]
        return sum(sum(p.cpu_times()[:2]) for p in processes)


@contextmanager
def database(directory: Path) -> Iterator[Database]:
    """Run a PostgreSQL server until the block ends."""
    os.chmod(directory, 0o755)  # as root the server runs as somebody else
    cluster = Cluster(directory, free_port())
    cluster.initialise()
    server = cluster.start(directory / "log")
    settings = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PGUSER": SUPERUSER,
        "PGDATABASE": "postgres",
        "PGPASSFILE": str(cluster.passfile),
    }
    where = " ".join(
        f"{key.removeprefix('PG').lower()}={value}" for key, value in settings.items()
    ).replace("database=", "dbname=")
    try:
        with connected(where) as connection:
            migrate(connection)
        yield Database(psutil.Process(server.pid), where, {**os.environ, **settings})
    finally:
        server.terminate()
        server.wait()


@contextmanager
def fast_server() -> Iterator[str]:
    """Run a trivial HTTP server until the block ends; yields its address."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks._fast_server", str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@click.group()
def main() -> None:
    """Measure the listener and the shipper."""


@main.command()
@click.option("--rounds", default=200, show_default=True)
@click.option("--seconds", default=0.25, show_default=True, help="Length of a slice.")
def swarm(rounds: int, seconds: float) -> None:
    """Requests/s and CPU per request of one Locust process, by listener."""
    with tempfile.TemporaryDirectory() as name, database(Path(name)) as runs, fast_server() as url:
        command = [sys.executable, "-m", "benchmarks._listener_swarm", "swarm", url]
        environment = {**runs.environment, "LOCUST_JOURNAL_DIR": f"{name}/journals"}
        output = subprocess.run(
            [*command, str(rounds), str(seconds)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    slices = [{s["kind"]: s for s in round} for round in json.loads(output.splitlines()[-1])]
    print(f"{rounds} rounds of slices of {seconds} s: medians, of ratios to none with quartiles")
    print("| listener | requests/s | ratio | by CPU | CPU µs a request |\n|---|---|---|---|---|")
    for kind in KINDS:
        print(_swarm_row(kind, slices))


def _swarm_row(kind: str, rounds: list[dict[str, dict[str, float]]]) -> str:
    rates = [r[kind]["requests"] / r[kind]["seconds"] for r in rounds]
    costs = [r[kind]["cpu_s"] / r[kind]["requests"] for r in rounds]
    none_rates = [r["none"]["requests"] / r["none"]["seconds"] for r in rounds]
    none_costs = [r["none"]["cpu_s"] / r["none"]["requests"] for r in rounds]
    by_rate = [mine / none for mine, none in zip(rates, none_rates, strict=True)]
    by_cpu = [none / mine for mine, none in zip(costs, none_costs, strict=True)]
    return (
        f"| {kind} | {statistics.median(rates):,.0f} | {_quartiles(by_rate)} |"
        f" {_quartiles(by_cpu)} | {statistics.median(costs) * 1e6:.1f} |"
    )


def _quartiles(values: list[float]) -> str:
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


@main.command()
def samples() -> None:
    """CPU of a sample in the Locust process."""
    with tempfile.TemporaryDirectory() as name, database(Path(name)) as runs:
        command = [sys.executable, "-m", "benchmarks._listener_swarm", "samples", "http://x"]
        environment = {**runs.environment, "LOCUST_JOURNAL_DIR": f"{name}/journals"}
        output = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    print("| listener | CPU µs a sample, in the Locust process: median (quartiles) |\n|---|---|")
    for kind, costs_us in json.loads(output.splitlines()[-1]).items():
        low, median, high = statistics.quantiles(costs_us, n=4)
        print(f"| {kind} | {median:.2f} ({low:.2f} to {high:.2f}) |")


@main.command()
@click.option("--rows", default=200_000, show_default=True)
@click.option("--rounds", default=11, show_default=True)
def ship(rows: int, rounds: int) -> None:
    """Rows/s of one shipper, from a journal on disk to PostgreSQL, with components and without."""
    found: dict[bool, list[Shipped]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name, database(Path(name)) as runs:
        for number in range(rounds):
            for components in (False, True) if number % 2 else (True, False):
                found[components].append(_ship(Path(name) / "journals", runs, rows, components))
    print(f"{rounds} rounds of {rows:,} rows each: medians (quartiles)")
    print("| components | rows/s | rows per CPU second | CPU µs a row: shipper | PostgreSQL |")
    print("|---|---|---|---|---|")
    for components, rounds_of_it in found.items():
        columns = [statistics.median(column) for column in zip(*rounds_of_it, strict=True)]
        rate, per_cpu_s, theirs = columns
        print(
            f"| {'cpu, db, pool' if components else 'none'} | {rate:,.0f} | {per_cpu_s:,.0f} |"
            f" {1e6 / per_cpu_s:.1f} | {theirs * 1e6:.1f} |"
        )
    pairs = zip(found[True], found[False], strict=True)
    print("rows per CPU second, with ÷ without:", _quartiles([w[1] / wo[1] for w, wo in pairs]))


Shipped = tuple[float, float, float]  # rows/s, rows per CPU second, CPU s of PostgreSQL per row


def _ship(journals: Path, runs: Database, rows: int, components: bool) -> Shipped:
    write_journal(journals, rows, components)
    began, cpu, theirs = time.perf_counter(), time.process_time(), runs.cpu_seconds()
    shipper = Shipper(journals, runs.where)
    while shipper.round():
        pass
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    theirs = runs.cpu_seconds() - theirs
    assert shipper.delivered == rows
    shipper.disconnect()
    return rows / seconds, rows / cpu, theirs / rows


def write_journal(directory: Path, rows: int, components: bool = False) -> None:
    """Write what a Locust process with *rows* requests leaves behind, parts of latency and all."""
    dice = random.Random(4)
    header = Header(uuid4().hex, 0, 0, f"host_{uuid4().hex}", "host", 17, False)
    writer = Writer(directory, header)
    start = time.time()
    for begin in range(0, rows, BLOCK):
        block = [
            _sample(dice, start + (begin + number) / REQUESTS_PER_S, number, components)
            for number in range(min(BLOCK, rows - begin))
        ]
        record = Samples(run_id(start), "locustfiles/classic.py", 0.0, block)
        writer.append(msgspec.msgpack.encode(record))
        writer.roll(msgspec.msgpack.encode(Continued()))
    writer.append(msgspec.msgpack.encode(End()))
    writer.close()


def _sample(dice: random.Random, start: float, number: int, components: bool) -> Any:
    ms = dice.lognormvariate(3, 0.6)
    path = f"/tests/{number % ENDPOINTS}"
    url = f"http://127.0.0.1:5000{path}"
    timing = f"queue;dur={ms * 0.2:.3f}, app;dur={ms * 0.6:.3f}"
    if components:
        timing += f", cpu;dur={ms * 0.1:.3f}, db;dur={ms * 0.4:.3f}"
        timing += f';desc="{dice.randint(1, 12)}", pool;dur={ms * 0.05:.3f}'
    trace, first_byte_ms = dice.randbytes(16), ms * 0.99
    return (start, ms, path, "GET", url, 345, number, None, None, timing, trace, first_byte_ms)


if __name__ == "__main__":
    main()
