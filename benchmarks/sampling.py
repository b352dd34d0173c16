"""What it costs to sample gunicorn's workers and the machine: CPU with sampling, and without.

    python -m benchmarks.sampling

Two gunicorns run side by side, are scraped every 2 s, and get the same few marked requests, which
keep the probes running. It prints a table for docs/performance.md.
"""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path

import click
import psutil

from benchmarks._gunicorn import OURS, Server, serving
from benchmarks.instrumentation import CLASSES

SCRAPE_S = 2.0
REQUESTS_PER_S = 10
APP = "benchmarks._alternating:service('ours, no components')"
WITHOUT = """
import swarmscope.server.gunicorn as hooks

def only_the_arbiter(server):
    registry = hooks.CollectorRegistry()
    registry.register(hooks.ArbiterCollector(server, hooks._state.slots))
    return registry

hooks._registry, hooks._measure_worker = only_the_arbiter, lambda worker: None
"""


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process's threads, in seconds, to the nanosecond."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def used(server: Server) -> tuple[float, float]:
    """Return the CPU time of the arbiter, and of its workers."""
    workers = psutil.Process(server.process.pid).children()
    return cpu_s(server.process.pid), sum(cpu_s(worker.pid) for worker in workers)


def request(server: Server) -> None:
    """Send a marked request on a connection of its own."""
    headers = {"X-Request-Start": f"t={time.time():.6f}"}
    url = server.address() + "/hello/you"
    urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read()


def run(servers: list[Server], seconds: float) -> list[tuple[float, float]]:
    """Return the CPU of each of *servers*, arbiter and workers, in cores."""
    before, began = [used(server) for server in servers], time.monotonic()
    ticks = 0
    while time.monotonic() - began < seconds:
        for server in servers:
            request(server)
            if ticks % int(SCRAPE_S * REQUESTS_PER_S) == 0:
                urllib.request.urlopen(server.address("Metrics")).read()
        ticks += 1
        time.sleep(max(0.0, ticks / REQUESTS_PER_S - (time.monotonic() - began)))
    passed = time.monotonic() - began
    return [
        ((now[0] - then[0]) / passed, (now[1] - then[1]) / passed)
        for then, now in zip(before, map(used, servers), strict=True)
    ]


@click.command()
@click.option("--seconds", default=60, show_default=True, help="Length of each run.")
@click.option("--workers", default=2, show_default=True)
@click.option("--worker-class", "classes", multiple=True, default=tuple(CLASSES))
def main(seconds: int, workers: int, classes: tuple[str, ...]) -> None:
    """Measure the CPU that sampling takes, in per cent of a core."""
    print("| workers | arbiter, without | with | workers, without | with | added |")
    print("|---|---|---|---|---|---|")
    for name in classes:
        options = (*CLASSES[name], "-w", str(workers))
        with contextlib.ExitStack() as stack:
            hooks = (WITHOUT + OURS, OURS)
            servers = [stack.enter_context(serving(APP, *options, hooks=each)) for each in hooks]
            run(servers, 5.0)  # the first requests and scrapes
            without, with_ = run(servers, seconds)
        added = sum(with_) - sum(without)
        figures = (without[0], with_[0], without[1], with_[1], added)
        cells = " | ".join(f"{figure:.2%}" for figure in figures)
        print(f"| {workers} {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
