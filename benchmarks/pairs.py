"""Runs that differ by nothing, or by a change at a known run: how often is one called different?

python -m benchmarks.pairs record DIRECTORY             # 220 real runs, a bundle each
python -m benchmarks.pairs record DIRECTORY --change-at 16 --slower 4 --runs 30 --seconds 4
python -m benchmarks.pairs series DIRECTORY > FILE      # figures over those runs, as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psycopg

from benchmarks._gunicorn import ROOT, serving
from benchmarks.listener import Database, database
from swarmscope.runs import bundles, queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.trend import gate, history
from swarmscope.runs.trend.history import Figure

APP = "benchmarks._pairs_service:create_app()"
DB_ROWS = 5_000
PATIENCE_S = 60.0
MANY = 1000  # runs: all of them
FIGURES = {
    "response p95": Figure(),
    "response p50": Figure(measure="p50"),
    "response p95 of GET /orders": Figure("GET /orders"),
    "response p95 of GET /report": Figure("GET /report"),
    "service p95 of GET /orders": Figure("GET /orders", "service"),
    "database mean of GET /orders": Figure("GET /orders", "db", "mean"),
    "CPU mean of GET /report": Figure("GET /report", "cpu", "mean"),
    "rate": Figure(measure=history.RATE),
}


@click.group()
def main() -> None:
    """Measure how often runs that differ by nothing are called different."""


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--runs", default=220, show_default=True)
@click.option("--seconds", default=12, show_default=True, help="Length of a run.")
@click.option("--change-at", default=0, help="From this run on the database takes longer.")
@click.option("--slower", default=1.0, help="How many times as long.")
def record(directory: Path, runs: int, seconds: int, change_at: int, slower: float) -> None:
    """Make real runs one after the other, each of a service that is started for it."""
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        database(Path(name)) as server,
        _swarm(server, Path(name), seconds) as swarm,
        psycopg.connect(server.where, autocommit=True) as connection,
    ):
        connection.execute("SET TIME ZONE 'UTC'")
        for number in range(runs):
            is_slow = change_at and number >= change_at
            rows = round(DB_ROWS * (slower if is_slow else 1))
            with serving(APP, "--worker-class", "sync", DB_ROWS=str(rows)) as service:
                _run(swarm, service.address())
            _keep(connection, directory / f"{number:04}.zip")


@contextmanager
def _swarm(server: Database, directory: Path, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Start a Locust that makes a run for each line that it gets."""
    named = {"LOCUST_JOURNAL_DIR": str(directory / "journals"), "GITHUB_HEAD_REF": "main"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._pairs_swarm", str(seconds)],
        cwd=ROOT,
        env={**server.environment, **named},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process


def _run(swarm: subprocess.Popen[str], host: str) -> None:
    assert swarm.stdin
    assert swarm.stdout
    swarm.stdin.write(f"{host}\n")
    swarm.stdin.flush()
    if swarm.stdout.readline() != "done\n":
        raise RuntimeError("Locust has ended")


@contextmanager
def _loaded(directory: Path) -> Iterator[Connection]:
    """Connect to a database with the runs of *directory*."""
    with (
        tempfile.TemporaryDirectory() as name,
        database(Path(name)) as server,
        psycopg.connect(server.where, autocommit=True) as connection,
    ):
        connection.execute("SET TIME ZONE 'UTC'")
        for file in sorted(directory.glob("*.zip")):
            bundles.load(connection, file)
        yield connection


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--change-at", default=0, help="As of `record`.")
def series(directory: Path, change_at: int) -> None:
    """Print figures over the runs of DIRECTORY, oldest first."""
    with _loaded(directory) as connection:
        found = {
            name: [point.value for point in history.trend(connection, None, of, MANY).points]
            for name, of in FIGURES.items()
        }
    rounded = {name: [round(v or 0, 3) for v in values] for name, values in found.items()}
    print(json.dumps({"changed_at": change_at, "series": rounded}))


@main.command()
@click.argument("directories", nargs=-1, type=click.Path(path_type=Path))
@click.option("--times", default="1,1.5,2,3", help="Times as slow as it was: 1 for an alarm.")
def judge(directories: tuple[Path, ...], times: str) -> None:
    """Hold each run to the gate's limits by the runs before it: a table of how many fail."""
    pairs = [pair for directory in directories for pair in _pairs(directory)]
    print("| p95 of the run | pairs | fail |\n|---|---|---|")
    for factor in map(float, times.split(",")):
        failed = sum(_fails(before, now, factor) for before, now in pairs)
        print(f"| × {factor:g} | {len(pairs)} | {failed} ({failed / len(pairs):.1%}) |")


def _pairs(directory: Path) -> Iterator[tuple[list[gate.Totals], gate.Totals]]:
    """Yield each run that has enough before it, with those."""
    with _loaded(directory) as connection:
        ids = connection.execute("SELECT id FROM testrun ORDER BY id").fetchall()
        found = [gate.totals(connection, run_id) for (run_id,) in ids]
    for at in range(gate.MAX_HISTORY, len(found)):
        yield found[at - gate.MAX_HISTORY : at], found[at]


def _fails(before: list[gate.Totals], now: gate.Totals, factor: float) -> bool:
    """Return whether a run that took *factor* times as long exceeds a limit."""
    return any(
        factor * (now[limit.endpoint].p95_ms or 0) > limit.limit
        for limit in gate.limits(before, now)
    )


def _keep(connection: Connection, file: Path) -> None:
    """Write the latest run to *file* as soon as it is complete."""
    deadline = time.monotonic() + PATIENCE_S
    while not (run := queries.find(connection, "latest")).complete:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{run.run} is not complete")
        time.sleep(0.1)
    with file.open("wb") as stream:
        bundles.write(connection, run, stream)
    print(run.run, run.requests, run.p95_ms, flush=True)


if __name__ == "__main__":
    main()
