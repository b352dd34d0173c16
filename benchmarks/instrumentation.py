"""What the instrumentation costs.

    python -m benchmarks.instrumentation overhead     # a request with and without it
    python -m benchmarks.instrumentation queries      # a query with and without it
    python -m benchmarks.instrumentation components   # both without a server, for a busy machine
    python -m benchmarks.instrumentation ways         # how a request can be timed at all
    python -m benchmarks.instrumentation observation  # one observation
    python -m benchmarks.instrumentation restarts     # a scrape after 1,000 restarts of workers

Each prints a table for docs/performance.md.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import _components, _observation, _restarts, _ways
from benchmarks._alternating import ALL, BARE, MEASURED, TRACED
from benchmarks._gunicorn import OURS, STOCK, serving
from benchmarks._ports import free_port

CONNECTIONS = 8
SLICE_REQUESTS = 20
QUERIES = 20  # in a request
CLASSES = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "4"),
    "gevent": ("-k", "gevent"),
}
WRK_SCRIPT = """
request = function()
   wrk.headers["X-Request-Start"] = string.format("t=%d.000001", os.time() - 1)
   return wrk.format("GET")
end
"""


@dataclass(frozen=True)
class Comparison:
    """One kind against bare, slice by slice: quartiles (lower, median, upper)."""

    requests_per_s: list[float]  # ratio of requests/s
    cpu: list[float]  # the same ratio by CPU time
    added_us: list[float]  # CPU of a request beyond that of a bare one, in µs
    cpu_us: float  # median CPU of a request, in µs
    rounds: int

    def __str__(self) -> str:
        """Return the end of a table's row."""
        ratios = " | ".join(quartiles(several, 3) for several in (self.requests_per_s, self.cpu))
        return f"{ratios} | {quartiles(self.added_us, 1)} | {self.cpu_us:.0f} | {self.rounds}"


def quartiles(several: list[float], digits: int) -> str:
    """Return a median with its quartiles in brackets."""
    low, median, high = (f"{one:.{digits}f}" for one in several)
    return f"{median} ({low} to {high})"


def send(url: str, seconds: int, start_time: bool) -> None:
    """Send requests from another core for *seconds*, with or without their start time."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT if start_time else "")
        script.flush()
        command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
        output = subprocess.run(
            [*command, "-s", script.name, url], capture_output=True, text=True, check=True
        ).stdout
    if failed := re.search(r"Non-2xx.*", output):
        raise RuntimeError(failed[0])


def compare(slices: list[list[object]], kinds: tuple[str, ...]) -> dict[str, Comparison]:
    """Return each of *kinds* against bare, from slices of which so many in a row are one round."""
    rounds = [
        {str(kind): (float(s), float(cpu_s)) for kind, s, cpu_s in slices[i : i + len(kinds)]}  # type: ignore[arg-type]
        for i in range(len(kinds), len(slices) - len(kinds) + 1, len(kinds))
    ]
    return {kind: _comparison(rounds, kind) for kind in kinds if kind != BARE}


def _comparison(rounds: list[dict[str, tuple[float, float]]], kind: str) -> Comparison:
    return Comparison(
        statistics.quantiles([round[BARE][0] / round[kind][0] for round in rounds], n=4),
        statistics.quantiles([round[BARE][1] / round[kind][1] for round in rounds], n=4),
        statistics.quantiles([(round[kind][1] - round[BARE][1]) * 1e6 for round in rounds], n=4),
        statistics.median(round[kind][1] for round in rounds) * 1e6,
        len(rounds),
    )


def alternate(
    worker: str, path: str, kinds: tuple[str, ...], seconds: int, start_time: bool
) -> dict[str, Comparison]:
    """Return what requests to *path* cost in one pinned *worker*, by kind."""
    app = "benchmarks._alternating:create_app()"
    environment = {"KINDS": ";".join(kinds), "SLICE": str(SLICE_REQUESTS)}
    with serving(app, *CLASSES[worker], core=0, **environment) as server:
        urllib.request.urlopen(server.address() + path).close()  # once the worker has booted
        send(server.address() + path, seconds, start_time)
        with urllib.request.urlopen(server.address() + "/slices") as answer:
            return compare(json.load(answer), kinds)


SECONDS = click.option("--seconds", default=60, show_default=True, help="Length of each run.")
WORKERS = click.option("--worker-class", "classes", multiple=True, default=tuple(CLASSES))
HEAD = """\
| {} | | requests/s ÷ bare (quartiles) | by CPU (quartiles) | added, µs CPU | µs CPU | rounds |
|{}---|---|---|---|---|---|"""


@click.group()
def main() -> None:
    """Measure the instrumentation."""


@main.command()
@SECONDS
@WORKERS
def overhead(seconds: int, classes: tuple[str, ...]) -> None:
    """Requests/s and CPU of one pinned worker, with each instrumentation over without."""
    print(HEAD.format("worker | start time", "---|---|"))
    kinds = ALL
    for name, start_time in itertools.product(classes, (False, True)):
        results = alternate(name, "/hello/you", kinds, seconds, start_time)
        for kind, result in results.items():
            sent = "sent" if start_time else "none"
            print(f"| {name} | {sent} | {kind} | {result} |", flush=True)


@main.command()
@SECONDS
@WORKERS
@click.option("--number", default=QUERIES, show_default=True, help="Queries in a request.")
def queries(seconds: int, classes: tuple[str, ...], number: int) -> None:
    """The same of requests that query an SQLite database in memory, and CPU added by each query."""
    print(HEAD.format("worker | queries", "---|---|"))
    for name, way in itertools.product(classes, ("sqlite3", "sqlalchemy")):
        kinds = (BARE, MEASURED, TRACED) if way == "sqlalchemy" else (BARE, MEASURED)
        results = alternate(name, f"/{way}/{number}", kinds, seconds, False)
        for kind, result in results.items():
            print(f"| {name} | {number} by {way} | {kind} | {result} |", flush=True)


@main.command()
@click.option("--rounds", default=1000, show_default=True)
def components(rounds: int) -> None:
    """CPU beyond bare of a request and of a query, at the 10th percentile (5th to 25th)."""
    print("| | | µs of CPU beyond bare |")
    print("|---|---|---|")
    for what, kind, (low, tenth, quarter) in _components.measure(rounds):
        print(f"| {what} | {kind} | {tenth:.1f} ({low:.1f} to {quarter:.1f}) |", flush=True)


@main.command()
@click.option("--rounds", default=1000, show_default=True)
def ways(rounds: int) -> None:
    """CPU beyond bare of each way to time a request, at the 10th percentile (5th to 25th)."""
    print("| | µs of CPU beyond bare |")
    print("|---|---|")
    for way, (low, tenth, quarter) in _ways.measure(rounds):
        print(f"| {way} | {tenth:.1f} ({low:.1f} to {quarter:.1f}) |", flush=True)


@main.command()
def observation() -> None:
    """CPU time of one value, one histogram, one request, with each part of the instrumentation."""
    print("| | µs | quartiles |")
    print("|---|---|---|")
    for name, (low, median, high) in _observation.measure().items():
        print(f"| {name} | {median:.2f} | {low:.2f} to {high:.2f} |")


@main.command()
@click.option("--restarts", "number", default=1000, show_default=True)
@click.option("--stock-restarts", default=200, show_default=True, help="Of the stock exporter.")
def restarts(number: int, stock_restarts: int) -> None:
    """Scrape time and files before and after restarts of workers, ours and stock."""
    print("| | restarts | scrape | quartiles | files | size |")
    print("|---|---|---|---|---|---|")
    for kind, times in (("ours", number), ("stock", stock_restarts)):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            hooks = OURS if kind == "ours" else STOCK.format(port=free_port())
            app = f"benchmarks._alternating:service('{kind}')"
            options = ("--preload", "-w", str(_restarts.WORKERS))
            with serving(app, *options, hooks=hooks, PROMETHEUS_MULTIPROC_DIR=directory) as server:
                for after in (0, times):
                    _restarts.restart_workers(server, after)
                    _restarts.send(server)
                    found = _restarts.scrape(server, Path(directory))
                    low, median, high = found.ms
                    print(
                        f"| {kind} | {after:,} | {median:.1f} ms | {low:.1f} to {high:.1f}"
                        f" | {found.files} | {found.file_bytes / 1e6:.1f} MB |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
