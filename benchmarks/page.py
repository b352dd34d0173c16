"""What open pages cost: a swarm at full speed with ten of them, and without, by turns.

python -m benchmarks.page

One Locust process runs the users and serves the pages, which is the hardest case: whatever a page
takes of the event loop, the users miss. A page asks as the real one does: for the run every 2 s,
for the list of runs every 10 s, sparing what it has already.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
import requests

from benchmarks._ports import free_port
from benchmarks.listener import Database, database, fast_server

USERS = 10
DOCUMENT_EVERY_S = 2.0
RUNS_EVERY_S = 10.0
WARM_UP_S = 10.0
START_S = 60.0
TIMEOUT_S = 30.0
SCENARIO = """
from swarmscope.client import FastHttpUser
from locust import task

class Visitor(FastHttpUser):
    @task
    def visit(self):
        self.client.get("/tests")
"""


@dataclass(frozen=True)
class Slice:
    """What happened in one stretch of time; CPU in seconds."""

    pages: bool
    seconds: float
    requests: int
    locust_cpu_s: float
    reader_cpu_s: float
    database_cpu_s: float


@dataclass
class Swarm:
    """A Locust process under load, and the database beside it."""

    url: str
    process: psutil.Process
    runs: Database
    pages: int

    def done(self) -> int:
        """Return how many requests have finished."""
        stats = requests.get(f"{self.url}/stats/requests", timeout=TIMEOUT_S).json()["stats"]
        return sum(row["num_requests"] for row in stats if row["name"] == "Aggregated")

    def slice(self, pages: bool, seconds: float) -> Slice:
        """Measure for *seconds*, with pages or without."""
        began, done, cpu = time.perf_counter(), self.done(), self._cpu_s()
        if pages:
            with open_pages(self.url, self.pages):
                time.sleep(seconds)
        else:
            time.sleep(seconds)
        count, spent = self.done() - done, time.perf_counter() - began
        used = (now - before for now, before in zip(self._cpu_s(), cpu, strict=True))
        return Slice(pages, spent, count, *used)

    def _cpu_s(self) -> tuple[float, float, float]:
        reader = 0.0
        for child in self.process.children():
            with suppress(psutil.Error):
                if "swarmscope.runs.page.reader" in child.cmdline():
                    reader += sum(child.cpu_times()[:2])
        return sum(self.process.cpu_times()[:2]), reader, self.runs.cpu_seconds()


@contextmanager
def open_pages(url: str, count: int) -> Iterator[None]:
    """Keep *count* pages open on the latest run until the block ends."""
    over = threading.Event()
    pages = [threading.Thread(target=_look, args=(url, over)) for _ in range(count)]
    for page in pages:
        page.start()
    try:
        yield
    finally:
        over.set()
        for page in pages:
            page.join()


def _look(url: str, over: threading.Event) -> None:
    """Ask as a page does, from a random moment on."""
    known: dict[str, str] = {}
    next_list = 0.0
    over.wait(random.uniform(0, DOCUMENT_EVERY_S))
    with requests.Session() as browser:
        while not over.is_set():
            wanted = ["run/latest.json"]
            if time.monotonic() > next_list:
                next_list = time.monotonic() + RUNS_EVERY_S
                wanted.append("runs.json")
            for path in wanted:
                headers = {"If-None-Match": known[path]} if path in known else {}
                where = f"{url}/both-ends/{path}"
                answer = browser.get(where, headers=headers, timeout=TIMEOUT_S)
                answer.raise_for_status()
                known[path] = answer.headers["ETag"]
            over.wait(DOCUMENT_EVERY_S)


@contextmanager
def running_swarm(directory: Path, runs: Database, host: str, pages: int) -> Iterator[Swarm]:
    """Run a swarm, started from its UI, until the block ends."""
    scenario, port = directory / "scenario.py", free_port()
    scenario.write_text(SCENARIO)
    command = [sys.executable, "-m", "locust", "-f", str(scenario), "--timescale", "--host", host]
    command += ["--web-host", "127.0.0.1", "--web-port", str(port), "--drain-time", "0"]
    environment = {**runs.environment, "LOCUST_JOURNAL_DIR": str(directory / "journals")}
    with (directory / "locust.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        swarm = Swarm(f"http://127.0.0.1:{port}", psutil.Process(process.pid), runs, pages)
        _start(swarm)
        yield swarm
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


def _start(swarm: Swarm) -> None:
    deadline = time.monotonic() + START_S
    form = {"user_count": USERS, "spawn_rate": USERS}
    while True:
        try:
            requests.post(f"{swarm.url}/swarm", form, timeout=TIMEOUT_S).raise_for_status()
            break
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    time.sleep(WARM_UP_S)


def report(slices: list[Slice], count: int) -> None:
    """Print what pages cost; slices come in pairs, one of them with pages."""
    pairs = [
        sorted(pair, key=lambda s: s.pages) for pair in zip(slices[::2], slices[1::2], strict=True)
    ]
    rates = [(b.requests / b.seconds) / (a.requests / a.seconds) for a, b in pairs]
    own = [
        (b.locust_cpu_s - b.requests * a.locust_cpu_s / a.requests) / b.seconds for a, b in pairs
    ]
    shares = {
        "Locust, beyond what its requests take": own,
        "the reader": [b.reader_cpu_s / b.seconds for _, b in pairs],
        "PostgreSQL, more than without": [
            b.database_cpu_s / b.seconds - a.database_cpu_s / a.seconds for a, b in pairs
        ],
    }
    had = statistics.median(one.locust_cpu_s / one.seconds for one in slices)
    print(f"{len(pairs)} pairs of slices, {count} pages: medians (quartiles)")
    print(f"requests/s with pages ÷ without: {_quartiles(rates)}; Locust had {had:.2f} of a core\n")
    print("| share of a core that the pages take | |\n|---|---|")
    for who, values in shares.items():
        print(f"| {who} | {_quartiles(values)} |")


def _quartiles(values: list[float]) -> str:
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


@click.command()
@click.option("--rounds", default=12, show_default=True, help="Pairs of slices.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of a slice.")
@click.option("--pages", default=10, show_default=True, help="More show more through the noise.")
def main(rounds: int, seconds: float, pages: int) -> None:
    """Measure a swarm with open pages against one with none."""
    with (
        tempfile.TemporaryDirectory() as name,
        database(Path(name)) as runs,
        fast_server() as host,
        running_swarm(Path(name), runs, host, pages) as swarm,
    ):
        order = [turn for _ in range(rounds) for turn in random.sample((False, True), 2)]
        report([swarm.slice(turn, seconds) for turn in order], pages)


if __name__ == "__main__":
    main()
