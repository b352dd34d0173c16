"""What a profile costs while it is taken.

    python -m benchmarks.profiles throughput  # requests/s with a profile over without
    python -m benchmarks.profiles sample      # CPU time of one sample

Each prints a table for docs/performance.md.
"""

from __future__ import annotations

import json
import statistics
import urllib.request

import click

from benchmarks import _samples
from benchmarks._gunicorn import serving
from benchmarks._sampled import KINDS
from benchmarks.instrumentation import CLASSES, send

SLICE_REQUESTS = 400
Rounds = list[dict[str, tuple[float, float]]]


def rounds_of(slices: list[tuple[str, float, float]]) -> Rounds:
    """Return rounds, in each of which every kind comes once; the first one warms up."""
    size = len(KINDS)
    starts = range(size, len(slices) - size + 1, size)
    return [{kind: (s, cpu_s) for kind, s, cpu_s in slices[at : at + size]} for at in starts]


def row(name: str, kind: str, rounds: Rounds) -> str:
    """Return a table's row: medians and quartiles of the ratios to no profile."""
    columns = []
    for place in (0, 1):
        ratios = [round_["none"][place] / round_[kind][place] for round_ in rounds]
        low, median, high = statistics.quantiles(ratios, n=4)
        columns.append(f"{median:.3f} ({low:.3f} to {high:.3f})")
    return f"| {name} | {kind} | {columns[0]} | {columns[1]} | {len(rounds)} |"


@click.group()
def main() -> None:
    """Measure profiles."""


@main.command()
def sample() -> None:
    """CPU time of one sample, the minimum of many rounds."""
    print("| sample | µs |")
    print("|---|---|")
    for name, us in _samples.measure():
        print(f"| {name} | {us:.0f} |", flush=True)


@main.command()
@click.option("--seconds", default=100, show_default=True, help="Length of a worker class's run.")
@click.option("--hz", default=100.0, show_default=True, help="Samples per second.")
@click.option("--worker-class", "classes", multiple=True, default=tuple(CLASSES))
def throughput(seconds: int, hz: float, classes: tuple[str, ...]) -> None:
    """Requests/s of one pinned worker, with each kind of profile over without."""
    print("| worker | profile | requests/s ÷ none (quartiles) | by CPU time (quartiles) | rounds |")
    print("|---|---|---|---|---|")
    for name in classes:
        settings = {"SLICE": str(SLICE_REQUESTS), "HZ": str(hz)}
        settings["THREADED"] = str(int(name == "gthread"))
        app = "benchmarks._sampled:create_app()"
        with serving(app, *CLASSES[name], core=0, **settings) as server:
            send(server.address() + "/hello/you", seconds, start_time=True)
            with urllib.request.urlopen(server.address() + "/slices") as answer:
                rounds = rounds_of(json.load(answer))
        for kind in KINDS[1:]:
            print(row(name, kind, rounds), flush=True)


if __name__ == "__main__":
    main()
