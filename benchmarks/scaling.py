"""Figures per core and per request that docs/scaling.md reckons with.

python -m benchmarks.scaling master       CPU of Locust's master for each worker
python -m benchmarks.scaling users        memory and files of a worker for each user
python -m benchmarks.scaling prometheus   CPU and memory of Prometheus for each series
python -m benchmarks.scaling ramp         CPU of the master for each user that it hands to a worker
python -m benchmarks.scaling storage      bytes of a request, on the way and in the database
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from benchmarks._gunicorn import ROOT
from benchmarks._ports import free_ports
from benchmarks.listener import database, fast_server, write_journal
from swarmscope.shipper.process import Shipper

SCENARIO = """
from locust import constant, task
from swarmscope.client import FastHttpUser

class Visitor(FastHttpUser):
    wait_time = constant({wait})

    @task
    def visit(self):
        self.client.get("/")
"""
SETTLE_S = 5.0
PATIENCE_S = 60.0
RAMPS = ((10_000, 2), (100_000, 13), (1_000_000, 125))  # users, workers


@click.group()
def main() -> None:
    """Measure what a machine's core can serve."""


@contextmanager
def _program(*command: str, directory: Path, **environment: str) -> Iterator[psutil.Process]:
    """Run a program until the block ends."""
    with (directory / "log").open("ab") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
        )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait()


def _cpu_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@main.command()
@click.option("--workers", default="1,50,100,200", show_default=True, help="How many, one by one.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each is watched.")
def master(workers: str, seconds: float) -> None:
    """CPU that a master, with everything of ours, takes for reports of so many workers."""
    print("| workers | master's CPU, cores | CPU µs per second for each more |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        first, *more = (int(word) for word in workers.split(","))
        least = _master_cpu(Path(name), first, seconds)
        print(f"| {first} | {least:.4f} | |", flush=True)
        for count in more:
            cores = _master_cpu(Path(name), count, seconds)
            each = (cores - least) / (count - first) * 1e6
            print(f"| {count} | {cores:.4f} | {each:,.0f} |", flush=True)


def _master_cpu(directory: Path, workers: int, seconds: float) -> float:
    """Return CPU seconds per second of a master with so many workers."""
    bind, web, metrics = free_ports(3)
    scenario = directory / "scenario.py"
    scenario.write_text(SCENARIO.format(wait=1))
    with _program(
        *(sys.executable, "-m", "locust", "-f", str(scenario), "--master", "--timescale"),
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", str(bind)),
        *("--web-host", "127.0.0.1", "--web-port", str(web), "--metrics-port", str(metrics)),
        *("--host", "http://127.0.0.1:9", "--keep-journals"),
        directory=directory,
        LOCUST_JOURNAL_DIR=str(directory / "journals"),
    ) as process:
        _await_answer(f"http://127.0.0.1:{web}/")
        length = str(seconds + 2 * SETTLE_S)
        words = ("-m", "benchmarks._worker_reports", str(bind), str(workers), length)
        with subprocess.Popen([sys.executable, *words], cwd=ROOT) as reporters:
            time.sleep(SETTLE_S)
            before = _cpu_s(process)
            time.sleep(seconds)
            cores = (_cpu_s(process) - before) / seconds
            if reporters.wait():
                raise click.ClickException(f"{workers} workers were too many to play")
            return cores


@main.command()
@click.option("--users", default=2_000, show_default=True, help="Users of one worker.")
def users(users: int) -> None:
    """Memory and files of a process with so many users, each with a connection."""
    print("| users | memory | open files |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name, fast_server() as host:
        (memory, files), (more_memory, more_files) = (
            _locust_with(Path(name), host, count) for count in (1, users)
        )
    print(f"| 1 | {memory / 1e6:.0f} MB | {files} |")
    print(f"| {users:,} | {more_memory / 1e6:.0f} MB | {more_files:,} |")
    each = (more_memory - memory) / (users - 1) / 1e3
    print(f"| each more | {each:.0f} kB | {(more_files - files) / (users - 1):.0f} |")


def _locust_with(directory: Path, host: str, users: int) -> tuple[int, int]:
    """Return memory in bytes, and open files, with so many users that wait."""
    scenario = directory / "scenario.py"
    scenario.write_text(SCENARIO.format(wait=60))
    with _program(
        *(sys.executable, "-m", "locust", "-f", str(scenario), "--headless", "--only-summary"),
        *("-u", str(users), "-r", "200", "-H", host, "--timescale", "--keep-journals"),
        directory=directory,
        LOCUST_JOURNAL_DIR=str(directory / "journals"),
    ) as process:
        deadline = time.monotonic() + PATIENCE_S
        while len(process.net_connections("tcp")) < users and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(SETTLE_S)
        return process.memory_info().rss, process.num_fds()


@main.command()
@click.option("--targets", default="1,10,40", show_default=True, help="How many, one by one.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each is watched.")
def prometheus(targets: str, seconds: float) -> None:
    """CPU of a Prometheus with our rules for so many targets like an instrumented API."""
    program = shutil.which("prometheus")
    if program is None:
        raise click.ClickException("prometheus is not on PATH")
    print("| targets | series | samples/s | CPU, cores | memory |\n|---|---|---|---|---|")
    loads = []
    for count in (int(word) for word in targets.split(",")):
        with tempfile.TemporaryDirectory() as name:
            loads.append(_scraping(program, Path(name), count, seconds))
        series, rate, cores, memory = loads[-1]
        print(f"| {count} | {series:,.0f} | {rate:,.0f} | {cores:.3f} | {memory / 1e6:.0f} MB |")
    series, rate, cores, memory = (
        last - first for first, last in zip(loads[0], loads[-1], strict=True)
    )
    each = series / (int(targets.split(",")[-1]) - int(targets.split(",")[0]))
    print(
        f"| each more | {each:,.0f} a target | | {cores / rate * 1e6:.1f} µs a sample |"
        f" {memory / series / 1e3:.1f} kB a series |"
    )


def _scraping(
    program: str, directory: Path, targets: int, seconds: float
) -> tuple[float, float, float, float]:
    """Return series, samples/s, CPU seconds per second and bytes of memory."""
    port, exposed = free_ports(2)
    _configure(directory, exposed, targets)
    words = ("-m", "benchmarks._metrics_targets", str(exposed))
    own = (f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data")
    at = f"--web.listen-address=127.0.0.1:{port}"
    with (
        _program(sys.executable, *words, directory=directory),
        _program(program, *own, at, directory=directory) as process,
    ):
        _await_answer(f"http://127.0.0.1:{port}/-/ready")
        time.sleep(2 * SETTLE_S)
        before, began = _cpu_s(process), _head(port)
        time.sleep(seconds)
        cores, ended = (_cpu_s(process) - before) / seconds, _head(port)
    rate = (ended["samples"] - began["samples"]) / seconds
    return ended["series"], rate, cores, ended["memory"]


def _configure(directory: Path, exposed: int, targets: int) -> None:
    """Write the shipped configuration and so many targets behind one port."""
    (directory / "targets").mkdir()
    for name in ("prometheus.yml", "rules.yml"):
        shutil.copy(ROOT / "prometheus" / name, directory)
    groups = [
        {
            "targets": [f"127.0.0.1:{exposed}"],
            "labels": {"job": "api", "instance": str(number), "__param_target": str(number)},
        }
        for number in range(targets)
    ]
    (directory / "targets/all.json").write_text(json.dumps(groups))


def _head(port: int) -> dict[str, float]:
    """Return what Prometheus says of itself: samples ever taken, series held, bytes of memory."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    told = [sample for family in families for sample in family.samples]

    def total(name: str) -> float:
        return sum(float(sample.value) for sample in told if sample.name == name)

    return {
        "samples": total("prometheus_tsdb_head_samples_appended_total"),
        "series": total("prometheus_tsdb_head_series"),
        "memory": total("process_resident_memory_bytes"),
    }


@main.command()
def ramp() -> None:
    """CPU of handing out users in a ramp, with the messages that tell workers of theirs."""
    print("| users | workers | CPU, s | CPU µs a user | longest step |\n|---|---|---|---|---|")
    for users, workers in RAMPS:
        steps = _hand_out(users, workers)
        print(
            f"| {users:,} | {workers} | {sum(steps):.2f} | {sum(steps) / users * 1e6:.1f} |"
            f" {max(steps) * 1e3:.0f} ms |",
            flush=True,
        )


def _hand_out(users: int, workers: int) -> list[float]:
    """Return the CPU seconds of each step of a ramp in a hundred of them."""
    os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
    from locust import User
    from locust.dispatch import UsersDispatcher
    from locust.rpc import Message
    from locust.runners import WorkerNode

    dispatcher = UsersDispatcher([WorkerNode(f"host_{n:032}") for n in range(workers)], [User])
    dispatcher.new_dispatch(users, users / 100)
    dispatcher._wait_between_dispatch = 0
    steps, before = [], time.process_time()
    for given in dispatcher:
        for worker, counts in given.items():
            Message("spawn", {"user_classes_count": counts}, worker).serialize()
        steps.append(time.process_time() - before)
        before = time.process_time()
    return steps


@main.command()
@click.option("--rows", default=200_000, show_default=True, help="Requests of one worker.")
def storage(rows: int) -> None:
    """Bytes of a request in the journal, in PostgreSQL's log and in its tables."""
    print("| what | bytes a request |\n|---|---|")
    with tempfile.TemporaryDirectory() as name, database(Path(name)) as runs:
        journals = Path(name) / "journals"
        write_journal(journals, rows, components=True)
        written = sum(path.stat().st_size for path in journals.glob("*.journal"))
        print(f"| journal | {written / rows:.0f} |")
        with psycopg.connect(runs.where, autocommit=True) as connection:
            before = _wal(connection)
            shipper = Shipper(journals, runs.where)
            while shipper.round():
                pass
            shipper.disconnect()
            print(f"| write-ahead log | {(_wal(connection) - before) / rows:.0f} |")
            for table in ("request", "histogram_closed"):
                size = "SELECT pg_total_relation_size(%s::regclass)"
                (taken,) = connection.execute(size, [table]).fetchone() or (0,)
                print(f"| table {table}, with indexes | {taken / rows:.0f} |")
            (count,) = connection.execute("SELECT count(*) FROM histogram_closed").fetchone() or (
                0,
            )
            print(f"| histogram windows, for {rows:,} requests | {count:,} rows |")


def _wal(connection: psycopg.Connection[tuple[int, ...]]) -> int:
    position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
    (bytes_,) = connection.execute(position).fetchone() or (0,)
    return bytes_


if __name__ == "__main__":
    main()
