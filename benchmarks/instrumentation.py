"""What the instrumentation costs.

    python -m benchmarks.instrumentation overhead     # requests/s with and without it
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

from benchmarks import _observation, _restarts
from benchmarks._alternating import KINDS
from benchmarks._gunicorn import OURS, STOCK, serving
from benchmarks._ports import free_port

CONNECTIONS = 8
SLICE_REQUESTS = 50
CLASSES = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "4"),
    "gevent": ("-k", "gevent"),
}
WRK_SCRIPT = """
request = function()
   wrk.headers["X-Request-Start"] = string.format("t=%d.000001", os.time() - 1)
   return wrk.format("GET", "/hello/you")
end
"""


@dataclass(frozen=True)
class Comparison:
    """One kind against bare, slice by slice: quartiles of the ratios, and its cost."""

    requests_per_s: list[float]  # ratio of requests/s: lower quartile, median, upper quartile
    cpu: list[float]  # the same ratio by CPU time
    cpu_us: float  # median CPU of a request, in µs
    rounds: int

    def __str__(self) -> str:
        """Return the end of a table's row."""
        (low, median, high), (cpu_low, cpu, cpu_high) = self.requests_per_s, self.cpu
        return (
            f"{median:.3f} | {low:.3f} to {high:.3f} | {cpu:.3f} | {cpu_low:.3f} to {cpu_high:.3f}"
            f" | {self.cpu_us:.0f} µs a request, {self.rounds} rounds"
        )


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


def compare(slices: list[list[object]]) -> dict[str, Comparison]:
    """Return each kind against bare, from slices of which three in a row are one round."""
    rounds = [
        {str(kind): (float(s), float(cpu_s)) for kind, s, cpu_s in slices[i : i + len(KINDS)]}  # type: ignore[arg-type]
        for i in range(len(KINDS), len(slices) - len(KINDS) + 1, len(KINDS))
    ]
    return {kind: _comparison(rounds, kind) for kind in KINDS}


def _comparison(rounds: list[dict[str, tuple[float, float]]], kind: str) -> Comparison:
    return Comparison(
        statistics.quantiles([round["bare"][0] / round[kind][0] for round in rounds], n=4),
        statistics.quantiles([round["bare"][1] / round[kind][1] for round in rounds], n=4),
        statistics.median(round[kind][1] for round in rounds) * 1e6,
        len(rounds),
    )


@click.group()
def main() -> None:
    """Measure the instrumentation."""


@main.command()
@click.option("--seconds", default=60, show_default=True, help="Length of a worker class's run.")
@click.option("--worker-class", "classes", multiple=True, default=tuple(CLASSES))
def overhead(seconds: int, classes: tuple[str, ...]) -> None:
    """Requests/s of one pinned worker, with each instrumentation over without."""
    print("| worker | start time | | requests/s ÷ bare | quartiles | by CPU time | quartiles |")
    print("|---|---|---|---|---|---|---|")
    for name, start_time in itertools.product(classes, (False, True)):
        app = "benchmarks._alternating:create_app()"
        with serving(app, *CLASSES[name], core=0, SLICE=str(SLICE_REQUESTS)) as server:
            send(server.address() + "/hello/you", seconds, start_time)
            with urllib.request.urlopen(server.address() + "/slices") as answer:
                slices = json.load(answer)
        for kind, result in compare(slices).items():
            print(f"| {name} | {'sent' if start_time else 'none'} | {kind} | {result}", flush=True)


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
