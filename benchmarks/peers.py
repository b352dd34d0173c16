"""Load generators at the same work in one run, in turn: ours, Locust's own, k6, vegeta, wrk.

python -m benchmarks.peers --rounds 5

Three tables: the CPU time of a request and the highest rate of one core; whether the percentiles
that each reports are true, at half of that rate; and what each reports of a service that stalls for
a second in every ten, against what requests on an open schedule get. What is not on PATH is left
out. nginx must be on it. Each generator has one processor, and what it talks to has the other.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import psycopg

from benchmarks._generators import Cost, Work, measure, running
from benchmarks._known_server import service_times, stall_left_s
from benchmarks._nginx import Nginx, nginx
from benchmarks._peer_servers import get, known_server
from benchmarks._peer_tools import ONLY_OPEN, OPEN, OURS, TOOLS, Reading, Run, Schedule
from benchmarks.listener import database
from swarmscope.runs import queries

CONNECTIONS = 50
WARM_UP_S = 2.0
MAX_RATE = 4_000  # requests/s that the server with known times answers on a shared core
STALLED_RATE = 100  # requests/s to the server that stalls
STALLED_S = 20  # two periods
CUTS = (50, 95, 99)
RECORDING = f"{OURS}, recording"
LOCUST_USERS = {  # as `_generators` names them
    RECORDING: "swarmscope FastHttpUser",
    OURS: "swarmscope FastHttpUser",
    "Locust FastHttpUser": "Locust FastHttpUser",
    "Locust HttpUser": "Locust HttpUser",
}


@dataclass(frozen=True)
class Bench:
    """Where tools run, and the runs database that ours records to."""

    directory: Path
    database: str

    def run(self, tool: str, schedule: Schedule) -> Reading:
        """Run *tool*; of ours, percentiles are those of the runs database."""
        reading = TOOLS[tool](Run(schedule, self.directory))
        return self.recorded(reading, "response") if tool == OURS else reading

    def recorded(self, reading: Reading, part: str) -> Reading:
        """Return *reading* with a part's percentiles of the latest run, as `show` prints them."""
        with psycopg.connect(self.database) as connection:
            run = queries.find(connection, "latest")
            (row,) = [
                row
                for row in queries.summary(connection, run.run_id, whole=True)
                if row.endpoint == ("", "") and row.part == part
            ]
        assert row.p50_ms
        assert row.p95_ms
        assert row.p99_ms
        return replace(reading, p50=row.p50_ms, p95=row.p95_ms, p99=row.p99_ms)


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=10, show_default=True, help="Length of a run that is measured.")
@click.option("--pin/--no-pin", default=True, help="One processor for each end.")
def main(rounds: int, seconds: int, pin: bool) -> None:
    """Measure every tool that is there."""
    found = [tool for tool in TOOLS if tool in LOCUST_USERS or shutil.which(tool)]
    first, *_, last = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # as root PostgreSQL runs as somebody else
        os.sched_setaffinity(0, {last} if pin else {first, last})  # what is started inherits it
        with database(Path(name)) as runs, nginx() as fast, known_server() as known:
            os.sched_setaffinity(0, {first} if pin else {first, last})
            os.environ.update(runs.environment)  # ours records there
            bench = Bench(Path(name), runs.where)
            rates = print_work(bench, found, fast, rounds, seconds)
            print_latency(bench, rates, known, rounds, seconds)
            print_stalls(bench, found, known)


def print_work(
    bench: Bench, tools: list[str], server: Nginx, rounds: int, seconds: int
) -> dict[str, float]:
    """Print what a request costs; return the highest requests/s of each tool."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    recording = ["--timescale", "--journal-dir", str(bench.directory / "journals")]
    for tool in _turns([RECORDING, *tools], rounds):
        kind = LOCUST_USERS.get(tool, tool)
        options = recording if tool == RECORDING else []
        with running(kind, Work(server.url + "/"), CONNECTIONS, *options) as generator:
            costs[tool].append(measure(generator, server.requests, WARM_UP_S, seconds))
    print(f"\n{rounds} rounds of {seconds} s, {CONNECTIONS} connections: medians (min to max)")
    print("| tool | CPU µs a request | ÷ k6 | requests/s of one core |\n|---|---|---|---|")
    for tool in [RECORDING, *tools]:
        cpu_us = [cost.cpu_us for cost in costs[tool]]
        ratios = [a / b.cpu_us for a, b in zip(cpu_us, costs.get("k6", []), strict=False)]
        rates = [cost.requests / cost.seconds for cost in costs[tool]]
        cells = [spread(cpu_us, ".0f"), spread(ratios, ".2f"), spread(rates, ",.0f")]
        print(f"| {tool} | {' | '.join(cells)} |", flush=True)
    return {
        tool: statistics.median(cost.requests / cost.seconds for cost in costs[tool])
        for tool in tools
    }


def print_latency(
    bench: Bench, rates: dict[str, float], url: str, rounds: int, seconds: int
) -> None:
    """Print what each tool reports at half of its highest rate, against the server's own times."""
    found: dict[str, list[tuple[list[float], list[float]]]] = defaultdict(list)
    schedules = {tool: half(tool, rate, url, seconds) for tool, rate in rates.items()}
    for tool in _turns(list(schedules), rounds):
        get(f"{url}/reset")
        reading = bench.run(tool, schedules[tool])
        truth = cuts(json.loads(get(f"{url}/truth")))
        found[tool].append(([getattr(reading, f"p{cut}") for cut in CUTS], truth))
    print("\nreported, true (error), ms: medians of rounds")
    print("| tool | requests/s | p50 | p95 | p99 |\n|---|---|---|---|---|")
    for tool, pairs in found.items():
        rate = min(rates[tool] / 2, MAX_RATE)
        print(f"| {tool} | {rate:,.0f} | {' | '.join(_errors(pairs))} |", flush=True)


def half(tool: str, rate: float, url: str, seconds: int) -> Schedule:
    """Return half of *rate* as work: by the number of connections, where they cannot be paced."""
    wanted = min(rate / 2, MAX_RATE)
    if tool in ONLY_OPEN:
        return Schedule(url, CONNECTIONS, seconds, rate=round(wanted))
    return Schedule(url, max(1, round(wanted * statistics.mean(service_times()))), seconds)


def _errors(pairs: list[tuple[list[float], list[float]]]) -> Iterator[str]:
    for number in range(len(CUTS)):
        reported = statistics.median(reading[number] for reading, _ in pairs)
        true = statistics.median(truth[number] for _, truth in pairs)
        error = statistics.median(reading[number] / truth[number] - 1 for reading, truth in pairs)
        yield f"{reported:.1f}, {true:.1f} ({error:+.1%})"


def print_stalls(bench: Bench, tools: list[str], url: str) -> None:
    """Print what each tool reports of a service that stalls, on a closed and an open schedule."""
    print(f"\n{STALLED_RATE} requests/s to a service that stalls for 1 s in every 10, ms")
    print("| tool | sends | requests | p50 | p95 | p99 |\n|---|---|---|---|---|---|")
    true = stalled_ms()
    print(f"| truth | on schedule | {len(true):,} | {_row(cuts(true))} |")
    connections = STALLED_RATE // 10
    paced = Schedule(url, connections, STALLED_S, pace_s=connections / STALLED_RATE)
    for tool in tools:
        if tool not in ONLY_OPEN:
            reading = _stalled(bench, tool, paced)
            print(f"| {tool} | when answered | {_reported(reading)} |", flush=True)
        if tool in OPEN:
            reading = _stalled(bench, tool, replace(paced, pace_s=None, rate=STALLED_RATE))
            print(f"| {tool} | on schedule | {_reported(reading)} |", flush=True)
        if tool == OURS:
            reading = bench.recorded(reading, "uncorrected")
            print(f"| {tool}, uncorrected | on schedule | {_reported(reading)} |", flush=True)


def stalled_ms() -> list[float]:
    """Return the response times of an open schedule to the server that stalls, in ms."""
    services = service_times()
    numbers = range(STALLED_S * STALLED_RATE)
    return [
        1000 * max(stall_left_s(number / STALLED_RATE), services[number % len(services)])
        for number in numbers
    ]


def _stalled(bench: Bench, tool: str, schedule: Schedule) -> Reading:
    get(f"{schedule.url}/reset?stall=1")
    return bench.run(tool, schedule)


def _reported(reading: Reading) -> str:
    return f"{reading.requests:,} | {_row([reading.p50, reading.p95, reading.p99])}"


def _row(figures: list[float]) -> str:
    return " | ".join(f"{figure:.0f}" for figure in figures)


def cuts(values: list[float]) -> list[float]:
    """Return the percentiles `CUTS` of *values*, each one of them (nearest rank)."""
    ordered = sorted(values)
    return [ordered[-(-len(ordered) * cut // 100) - 1] for cut in CUTS]


def spread(values: list[float], form: str) -> str:
    """Return the median and, in brackets, the extremes of *values*."""
    if not values:
        return ""
    figures = statistics.median(values), min(values), max(values)
    median, low, high = (format(figure, form) for figure in figures)
    return f"{median} ({low} to {high})"


def _turns(tools: list[str], rounds: int) -> Iterator[str]:
    """Yield every tool once a round, each round in an order of its own."""
    for _ in range(rounds):
        yield from random.sample(tools, len(tools))


if __name__ == "__main__":
    main()
