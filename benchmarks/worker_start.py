"""What swarmscope costs a Locust worker before it sends anything: memory, CPU and time to start.

python -m benchmarks.worker_start
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks._ports import free_port

READY = """
import json, os, time
from locust import events, task, User
{imports}

class Idle(User):
    @task
    def rest(self):
        self.environment.runner.quit()

@events.init.add_listener
def ready(**_):
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    figures = (pages * os.sysconf("SC_PAGE_SIZE") / 1e6, time.process_time(), time.time())
    print(json.dumps(figures), flush=True)
    os._exit(0)
"""
KINDS = {
    "locust": ("", ()),
    "locust-plugins": ("import locust_plugins", ()),
    "swarmscope": ("import swarmscope.client", ("--timescale",)),
}


@click.command()
@click.option("--rounds", default=15, show_default=True)
def main(rounds: int) -> None:
    """Start a worker of each kind in turn, and stop it once Locust has initialised it."""
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        files = {kind: Path(name) / f"{kind}_worker.py" for kind in KINDS}
        for kind, (imports, _) in KINDS.items():
            files[kind].write_text(READY.format(imports=imports))
        with master(Path(name)) as port:
            for kind in KINDS:  # so that all is compiled and cached
                start(files[kind], kind, port)
            for _ in range(rounds):
                for kind in random.sample(list(KINDS), len(KINDS)):
                    found[kind].append(start(files[kind], kind, port))
    print(f"{rounds} rounds: medians (quartiles), until Locust has initialised the worker")
    print("| worker | MB resident | CPU s | s |\n|---|---|---|---|")
    for kind, figures in found.items():
        print(f"| {kind} | {_row(figures, lambda number: f'{number:.2f}')} |")
    over = [
        [ours - plain for ours, plain in zip(*pair, strict=True)]
        for pair in zip(found["swarmscope"], found["locust"], strict=True)
    ]
    print(f"| swarmscope − locust | {_row(over, lambda number: f'{number:+.2f}')} |")


@contextmanager
def master(directory: Path) -> Iterator[int]:
    """Run a plain Locust master that waits for workers; yields its port."""
    port = free_port()
    (directory / "master.py").write_text("from locust import User\nclass Idle(User): pass\n")
    command = [sys.executable, "-m", "locust", "-f", str(directory / "master.py"), "--master"]
    command += ["--headless", "--expect-workers", "1000000", "--master-bind-port", str(port)]
    with open(directory / "master.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def start(locustfile: Path, kind: str, port: int) -> list[float]:
    """Return MB, CPU seconds and seconds that a worker took until it was initialised."""
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--worker"]
    command += ["--master-port", str(port), *KINDS[kind][1]]
    environment = {**os.environ, "LOCUST_JOURNAL_DIR": str(locustfile.parent / "journals")}
    began = time.time()
    output = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
    megabytes, cpu_s, at = json.loads(output.splitlines()[-1])
    return [megabytes, cpu_s, at - began]


def _row(rows: list[list[float]], show: Callable[[float], str]) -> str:
    cells = []
    for values in zip(*rows, strict=True):
        low, median, high = map(show, statistics.quantiles(values, n=4))
        cells.append(f"{median} ({low} to {high})")
    return " | ".join(cells)


if __name__ == "__main__":
    main()
