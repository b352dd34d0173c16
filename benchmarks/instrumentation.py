"""What the instrumentation costs: requests/s with and without it.

python -m benchmarks.instrumentation overhead
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks._alternating import KINDS
from benchmarks._gunicorn import serving

CONNECTIONS = 8
SLICE_REQUESTS = 100
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
    added_us: float  # median of what it takes more than bare


def send(url: str, seconds: int) -> None:
    """Send requests from another core for *seconds*, each with a start time."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT)
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
        statistics.median(round[kind][1] - round["bare"][1] for round in rounds) * 1e6,
    )


@click.group()
def main() -> None:
    """Measure the instrumentation."""


@main.command()
@click.option("--seconds", default=30, show_default=True, help="Length of a worker class's run.")
@click.option("--worker-class", "classes", multiple=True, default=tuple(CLASSES))
def overhead(seconds: int, classes: tuple[str, ...]) -> None:
    """Requests/s of one pinned worker, instrumented over bare."""
    for name in classes:
        app = "benchmarks._alternating:create_app()"
        with serving(app, *CLASSES[name], core=0, SLICE=str(SLICE_REQUESTS)) as server:
            send(server.address() + "/hello/you", seconds)
            with urllib.request.urlopen(server.address() + "/slices") as answer:
                slices = json.load(answer)
        results = compare(slices)
        print(f"{name}: {len(slices) // len(KINDS)} rounds of {SLICE_REQUESTS} requests each")
        for kind, result in results.items():
            low, median, high = result.requests_per_s
            cpu = result.cpu
            print(
                f"  {kind:6} ÷ bare {median:.3f} ({low:.3f} to {high:.3f});"
                f" by CPU {cpu[1]:.3f} ({cpu[0]:.3f} to {cpu[2]:.3f});"
                f" {result.cpu_us:.0f} µs a request, {result.added_us:+.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
