"""The sample API's own verdict, beside what perf, pidstat and pg_stat_activity show meanwhile.

    python -m benchmarks.beside_pidstat      # some four minutes; needs perf and pidstat

Searches the capacity of the sample API on this machine, with whatever else that does, and compares
the resources at the level that broke with what the three tools measured in the same seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import fmean

import psutil
import psycopg

from benchmarks._gunicorn import ROOT
from benchmarks._native import SWARMSCOPE, await_true
from benchmarks._ports import free_port, free_ports
from benchmarks.starved.running import Stack
from benchmarks.starved.surroundings import Database, database
from swarmscope.runs import captures, document, queries
from swarmscope.runs.causes.demands import demands
from swarmscope.runs.document import Document, ResourceFigures
from swarmscope.runs.server_series import Capture
from swarmscope.stack.ports import PORTS

SEARCH = (
    *("--shape", "Capacity", "--capacity-start", "50", "--capacity-precision", "0.5"),
    *("--capacity-warm-up", "8", "--capacity-window", "20", "--slo-p95", "450"),
)
INTERVAL_S = 2
PERF_HZ = 49
PIDSTAT = re.compile(r"^\S+\s+\d+\s+(\d+)\s+\S+\s+\S+\s+\S+\s+(\S+)\s+(\S+)\s", re.M)  # %wait, %CPU
SESSIONS = (
    "SELECT count(*) FILTER (WHERE wait_event IS NULL),"
    " count(*) FILTER (WHERE wait_event_type = 'Lock'),"
    " count(*) FILTER (WHERE wait_event_type IN ('IO', 'LWLock'))"
    " FROM pg_stat_activity"
    " WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


ROWS = (  # a figure, where swarmscope has it, and where the tool does
    ("CPU of the workers, cores", ("python", "used"), "pidstat", "worker_cpu"),
    ("workers ready and not run", ("python", "waiting"), "pidstat", "worker_wait"),
    ("CPU of the machine, cores", ("cpu", "used"), "perf", "busy"),
    ("… by others than the API", ("cpu", "others"), "perf", "others"),
    ("database: CPU; sessions", ("database", "used"), "pg_stat_activity", "sessions_on_cpu"),
    ("… for a core, disk, latch", ("database", "waiting"), "pg_stat_activity", "sessions_on_io"),
    ("… for a lock", ("database_lock", "waiting"), "pg_stat_activity", "sessions_on_lock"),
)


@dataclass
class Seen:
    """What the tools showed: figures by name, each with the time of its interval's end."""

    samples: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    commands: list[tuple[float, Counter[str]]] = field(default_factory=list)  # perf's samples

    def mean(self, name: str, spans: Sequence[tuple[float, float]]) -> float | None:
        """Return the mean of a figure in spans of Unix seconds."""
        found = [
            values[name] for at, values in self.samples if name in values and _is_in(at, spans)
        ]
        return fmean(found) if found else None


def _is_in(at: float, spans: Sequence[tuple[float, float]]) -> bool:
    """Return whether most of the interval that ended *at* is in one of *spans*."""
    return any(since <= at - INTERVAL_S / 2 <= until for since, until in spans)


def main() -> None:
    """Search the capacity, and print both tables."""
    seen, over = Seen(), threading.Event()
    with database() as its_database, served(its_database) as (stack, workers):
        threads = [
            threading.Thread(target=watch, args=(seen, over))
            for watch in watches(workers, its_database)
        ]
        for thread in threads:
            thread.start()
        try:
            found, spans, figures = searched(stack, its_database)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    print(f"{found.cause.sentence if found.cause else 'No level broke.'}\n")
    print("\n".join(table(figures, seen, spans, len(workers))))


@contextlib.contextmanager
def served(its_database: Database) -> Iterator[tuple[Stack, list[int]]]:
    """Run the stack with the sample API and without Locust; yields its workers' process ids."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-") as directory:
        home = Path(directory).resolve() / "home"
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        own = {"SWARMSCOPE_HOME": str(home), "API_DATABASE_URL": its_database.dsn}
        stack = Stack(home, {**os.environ, **ports, **own, "PYTHONPATH": str(ROOT)})
        only = [word for name in ("postgres", "prometheus", "app") for word in ("--only", name)]
        command = [*SWARMSCOPE, "up", "--detach", *only]
        subprocess.run(command, cwd=ROOT, env=stack.environment, check=True)
        try:
            yield stack, _workers(home)
        finally:
            subprocess.run([*SWARMSCOPE, "down"], cwd=ROOT, env=stack.environment, check=True)


def _workers(home: Path) -> list[int]:
    """Return the process ids of the API's gunicorn workers."""
    gunicorns = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.environ().get("SWARMSCOPE_HOME") == str(home)
            if is_ours and any("gunicorn" in word for word in process.cmdline()):
                gunicorns[process.pid] = process.ppid()
    return [pid for pid, parent in gunicorns.items() if parent in gunicorns]


Watch = Callable[[Seen, threading.Event], None]


def watches(workers: Sequence[int], its_database: Database) -> list[Watch]:
    """Return what to run beside the search, each in a thread of its own."""

    def pidstat(seen: Seen, over: threading.Event) -> None:
        pids = ",".join(map(str, workers))
        while not over.is_set():
            command = ["pidstat", "-u", "-p", pids, str(INTERVAL_S), "1"]
            text = _output(command).partition("Average")[0]
            rows = [(float(wait), float(cpu)) for _, wait, cpu in PIDSTAT.findall(text)]
            values = {"worker_cpu": sum(cpu for _, cpu in rows) / 100}
            values["worker_wait"] = sum(wait for wait, _ in rows) / 100
            seen.samples.append((time.time(), values))

    def perf(seen: Seen, over: threading.Event) -> None:
        record = ["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", str(PERF_HZ), "-o"]
        files: list[tuple[float, str]] = []
        with tempfile.TemporaryDirectory() as directory:
            while not over.is_set():
                file = f"{directory}/{len(files)}"
                _output([*record, file, "sleep", str(INTERVAL_S)])
                files.append((time.time(), file))
            for at, file in files:
                _add_samples(seen, at, file, workers)

    def activity(seen: Seen, over: threading.Event) -> None:
        with psycopg.connect(its_database.dsn, autocommit=True) as connection:
            while not over.wait(INTERVAL_S / 4):
                row = connection.execute(SESSIONS).fetchone() or ()
                names = ("sessions_on_cpu", "sessions_on_lock", "sessions_on_io")
                seen.samples.append((time.time(), dict(zip(names, row, strict=True))))

    return [pidstat, perf, activity]


def _add_samples(seen: Seen, at: float, file: str, workers: Sequence[int]) -> None:
    """Add what perf recorded until *at*: cores are sampled while they are idle, too."""
    lines = _output(["perf", "script", "-i", file, "-F", "comm,pid"]).splitlines()
    found = [line.rsplit(maxsplit=1) for line in lines if line.strip()]
    busy = [(name.strip(), int(pid)) for name, pid in found if pid != "0"]
    others = sum(pid not in workers for _, pid in busy)
    scale = (psutil.cpu_count() or 1) / len(found) if found else 0.0
    seen.samples.append((at, {"busy": len(busy) * scale, "others": others * scale}))
    seen.commands.append((at, Counter(name for name, _ in busy)))


def _output(command: Sequence[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C", "S_TIME_FORMAT": "ISO"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout


def searched(
    stack: Stack, its_database: Database
) -> tuple[Document, list[tuple[float, float]], list[ResourceFigures]]:
    """Search the capacity.

    Return the run's document, the spans of the lowest level that broke in Unix seconds, and the
    figures of the resources there.
    """
    port = str(free_port())
    command = [*SWARMSCOPE, "locust", "-f", "locustfiles", "--headless", "--only-summary", *SEARCH]
    command += ["--host", f"http://127.0.0.1:{stack.environment['API_PORT']}"]
    environment = {**stack.environment, "SWARMSCOPE_APP_DATABASE_URL": its_database.dsn}
    with stack.scraping("locust", f"127.0.0.1:{port}"):
        subprocess.run([*command, "--metrics-port", port], cwd=ROOT, env=environment, check=False)
    with stack.runs() as connection:
        run = queries.find(connection, "latest")
    await_true(lambda: _capture(stack, run.run_id) is not None, "the services' series")
    found = document.decode(stack.command("show", run.run, "--json", "--wait", "60"))
    capture = _capture(stack, run.run_id)
    broke = [level for level in found.levels if level.outcome == "broke"]
    if capture is None or not broke:
        sys.exit("no level broke")
    users = min(level.users for level in broke)
    started = found.run.started.timestamp()
    spans = [
        (started + level.t_s - level.measured_s, started + level.t_s)
        for level in broke
        if level.users == users
    ]
    since = capture.since.timestamp()
    length = max(map(len, capture.series.values()))
    points = [
        number
        for number in range(length)
        if any(a <= since + number * capture.step_s < b for a, b in spans)
    ]
    return found, spans, demands(capture, points)


def _capture(stack: Stack, run_id: datetime) -> Capture | None:
    with stack.runs() as connection:
        return captures.stored(connection, run_id)


def table(
    figures: Sequence[ResourceFigures],
    seen: Seen,
    spans: Sequence[tuple[float, float]],
    workers: int,
) -> Iterator[str]:
    """Yield the rows of a table: a figure, swarmscope's, and the tool's."""
    of = {one.kind: one for one in reversed(figures)}
    yield f"{workers} workers; means of the level that broke"
    yield "| | swarmscope | | tool |\n|---|---|---|---|"
    for words, (kind, which), tool, name in ROWS:
        ours = getattr(of.get(kind), which, None)
        yield f"| {words} | {_figure(ours)} | {tool} | {_figure(seen.mean(name, spans))} |"
    counted: Counter[str] = Counter()
    for at, commands in seen.commands:
        if _is_in(at, spans):
            counted += commands
    whole = sum(counted.values())
    shares = [f"{name} {100 * number / whole:.0f} %" for name, number in counted.most_common(6)]
    yield f"\nperf, by command: {', '.join(shares)}"
    yield json.dumps({"load average": os.getloadavg(), "cores": psutil.cpu_count()})


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
