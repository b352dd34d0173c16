"""What verbs cost that read a run of 36 million requests.

python -m benchmarks.dashboards fill DIRECTORY   some minutes and 20 GB; again to go on
python -m benchmarks.verbs DIRECTORY

Each verb starts in a process of its own. CPU times are comparable on a busy machine, too. The
database is not stopped in between, so what was read once is in memory.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
import psycopg

from benchmarks import _large_run as large_run

ENDED_S = 0.5  # by then a session has ended
VERBS = {
    "--help": ("--help",),
    "runs": ("runs",),
    "show": ("show",),
    "show --brief": ("show", "--brief"),
    "show --json": ("show", "--json"),
    "check": ("check", "--p95", "450"),
    "compare": ("compare", "latest~1", "latest"),
    "report": ("report", "-o", "report.html"),
}


@dataclass(frozen=True)
class Taken:
    """Seconds of one call: by the clock, and of CPU in its process and in PostgreSQL."""

    wall_s: float
    cpu_s: float
    database_s: float


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--rounds", default=5, show_default=True)
def main(directory: Path, rounds: int) -> None:
    """Print what each verb takes: the median of its calls, and the maximum."""
    with large_run.runs_database(directory) as runs, tempfile.TemporaryDirectory() as name:
        with psycopg.connect(runs.owner, autocommit=True) as connection:
            print(f"run {large_run.run_id(connection)}, {rounds} rounds: medians (maxima)")
            server = psutil.Process(int(_server_pid(directory)))
        print("| verb | s | CPU s | CPU s of PostgreSQL |\n|---|---|---|---|")
        for verb, arguments in VERBS.items():
            database = [] if verb == "--help" else ["--database", runs.owner]
            command = [sys.executable, "-m", "swarmscope", *arguments, *database]
            taken = [_call(command, Path(name), server) for _ in range(rounds + 1)][1:]
            cells = (
                _cell([getattr(one, figure) for one in taken])
                for figure in ("wall_s", "cpu_s", "database_s")
            )
            print(f"| `{verb}` | {' | '.join(cells)} |", flush=True)


def _server_pid(directory: Path) -> str:
    return (directory / "data" / "postmaster.pid").read_text().split("\n", 1)[0]


def _call(command: list[str], directory: Path, server: psutil.Process) -> Taken:
    """Run *command*; a run that misses an objective is no failure."""
    database_s, own = _cpu_s(server), resource.getrusage(resource.RUSAGE_CHILDREN)
    before = time.perf_counter()
    environment = {**os.environ, "PROMETHEUS_URL": "", "SWARMSCOPE_HOME": str(directory)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr)
    wall_s = time.perf_counter() - before
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime - own.ru_utime + used.ru_stime - own.ru_stime
    return Taken(wall_s, cpu_s, _cpu_s(server) - database_s)


def _cpu_s(server: psutil.Process) -> float:
    """Return the CPU time of sessions that have ended, which a verb's has in a moment."""
    time.sleep(ENDED_S)
    times = server.cpu_times()
    return float(times.children_user + times.children_system)


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({max(values):.2f})"


if __name__ == "__main__":
    main()
