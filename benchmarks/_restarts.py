"""What a scrape costs after many workers have come and gone."""

from __future__ import annotations

import os
import signal
import statistics
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks._gunicorn import Server

WORKERS = 4
REQUESTS = 40  # between two restarts of all workers
SCRAPES = 30


@dataclass(frozen=True)
class Scrape:
    """How long scrapes took in ms (lower quartile, median, upper quartile), from how many files."""

    ms: list[float]
    files: int
    file_bytes: int


def scrape(server: Server, directory: Path) -> Scrape:
    """Scrape many times."""
    url = server.address("Metrics").removesuffix("/metrics") + "/metrics"
    taken = []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        with urllib.request.urlopen(url) as answer:
            answer.read()
        taken.append((time.perf_counter() - began) * 1e3)
    sizes = [path.stat().st_size for path in directory.rglob("*.db")]
    return Scrape(statistics.quantiles(taken, n=4), len(sizes), sum(sizes))


def restart_workers(server: Server, restarts: int) -> None:
    """Kill all workers as often as it takes, with requests to those that follow."""
    for _ in range(restarts // WORKERS):
        before = _workers(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        while len(_workers(server) - before) < WORKERS or before & _workers(server):
            time.sleep(0.01)
        send(server)


def send(server: Server) -> None:
    """Send some requests, so that every worker has something to count."""
    for number in range(REQUESTS):
        with urllib.request.urlopen(f"{server.address()}/hello/{number}") as answer:
            answer.read()


def _workers(server: Server) -> set[int]:
    pid = server.process.pid
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
