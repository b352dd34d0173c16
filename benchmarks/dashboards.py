"""How long each panel's queries take over a run of 36 million requests.

python -m benchmarks.dashboards fill DIRECTORY      some minutes and 20 GB; again to go on
python -m benchmarks.dashboards queries DIRECTORY   as Grafana sends them
python -m benchmarks.dashboards join DIRECTORY      what a shipper does once a run is over

The run is two hours of 5,000 requests/s to 10 endpoints from 4 workers, and its metrics are in a
Prometheus that was scraping all the time. DIRECTORY is yours to delete.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg

from benchmarks import _large_metrics as large_metrics
from benchmarks import _large_run as large_run
from benchmarks._dashboard_queries import DASHBOARDS, Query, View, promql, queries, sql
from swarmscope.journal.records import start_of
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema.maintenance import compact

PIXELS = 1_000
RUN_S = large_run.BLOCKS * large_run.BLOCK_S
SPANS_S = {"2 h": RUN_S, "15 min": 900}
CHOSEN = {
    "baseline": "previous",
    "endpoint": "All endpoints",
    "part": "response",
    "measure": "p95",
    "job": "api",
    "run_services": ".+",
    "service": ".*",
    "instance": ".*",
    "route": ".*",
}
NICE_S = (1, 2, 5, 10, 15, 20, 30, 60)  # Grafana rounds the width of a point to one of these


@dataclass(frozen=True)
class Sources:
    """Both data sources, as Grafana reaches them."""

    connection: Connection
    prometheus: str

    def run(self) -> str:
        """Return the id of the run."""
        return large_run.run_id(self.connection)


@click.group()
def main() -> None:
    """Fill a database with a large run, and read it as dashboards do."""


directory_argument = click.argument("directory", type=click.Path(path_type=Path))


@main.command()
@directory_argument
@click.option("--seconds", default=300.0, show_default=True, help="Stop after about so long.")
def fill(directory: Path, seconds: float) -> None:
    """Make the run in DIRECTORY, or go on with it."""
    with large_run.runs_database(directory) as runs:
        done = large_run.fill(runs.owner, seconds)
        if done == large_run.BLOCKS:
            large_run.finish(runs.owner)
            print("the run is over")


@main.command()
@directory_argument
def join(directory: Path) -> None:
    """Join the finished run's histograms over its workers."""
    with (
        large_run.runs_database(directory) as runs,
        psycopg.connect(runs.owner, autocommit=True) as connection,
    ):
        began = time.perf_counter()
        rows = 0
        for (run,) in connection.execute("SELECT id FROM testrun").fetchall():
            rows += compact(connection, run)
        print(f"joined to {rows:,} rows in {time.perf_counter() - began:.0f} s")
        connection.execute("VACUUM (ANALYZE) histogram_closed")


@main.command("queries")
@directory_argument
@click.option("--rounds", default=5, show_default=True)
def time_queries(directory: Path, rounds: int) -> None:
    """Print a table of every panel's slowest query, for each span of time."""
    with _sources(directory) as sources:
        heads = "".join(f" {span} |" for span in SPANS_S)
        print(f"| dashboard | panel |{heads}\n|---|---|{'---|' * len(SPANS_S)}")
        for (dashboard, place), asked in by_panel().items():
            cells = [_cell(sources, asked, seconds, rounds) for seconds in SPANS_S.values()]
            print(f"| {dashboard} | {place} | {' | '.join(cells)} |", flush=True)


@contextmanager
def _sources(directory: Path) -> Iterator[Sources]:
    with (
        large_run.runs_database(directory) as runs,
        psycopg.connect(runs.reader, autocommit=True) as connection,
    ):
        metrics = directory / "prometheus"
        begin = int(start_of(large_run.run_id(connection)))
        large_metrics.import_into(metrics, begin, RUN_S)
        with large_metrics.prometheus(metrics) as prometheus:
            yield Sources(connection, prometheus)


def by_panel() -> dict[tuple[str, str], list[Query]]:
    """Return all queries by dashboard and panel, or variables, or annotations."""
    panels: dict[tuple[str, str], list[Query]] = {}
    for path in DASHBOARDS:
        for query in queries(path):
            kind, _, name = query.place.partition(" ")
            place = name.rpartition(",")[0] if kind == "panel" else f"({kind}s)"
            panels.setdefault((query.dashboard, place), []).append(query)
    return panels


def view(run: str, seconds: float, points: int) -> View:
    """Return the last *seconds* of a run, in points as wide as Grafana makes them."""
    end = start_of(run) + RUN_S
    width_s = min(NICE_S, key=lambda nice: abs(nice - seconds / points))
    return View(end - seconds, end, {"run": run, **CHOSEN}, width_s)


def asking(sources: Sources, query: Query, view: View) -> Callable[[], object]:
    """Return what asks a query once, answer and all."""
    if query.datasource == "timescale":
        statement = sql(query.text, view)
        return lambda: sources.connection.execute(statement).fetchall()
    text = promql(query.text, view)
    if query.target.get("instant"):
        return lambda: large_metrics.ask(sources.prometheus, "query", query=text, time=view.end)
    step = max(view.interval_s, large_metrics.SCRAPE_S)
    span = {"start": view.start, "end": view.end, "step": step}
    return lambda: large_metrics.ask(sources.prometheus, "query_range", query=text, **span)


def timing_ms(ask: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Ask once to warm up, then *rounds* times; return the median and the longest time."""
    taken = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[1:]), max(taken[1:])


def _cell(sources: Sources, asked: list[Query], seconds: float, rounds: int) -> str:
    """Return the slowest query's median and, in brackets, its longest time."""
    run = sources.run()
    median, longest = max(
        timing_ms(asking(sources, q, view(run, seconds, q.points or PIXELS)), rounds) for q in asked
    )
    return f"{median:.0f} ms ({longest:.0f})"


if __name__ == "__main__":
    sys.exit(main())
