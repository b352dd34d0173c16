"""Sent = stored, once each, whatever happens to the database, the shipper or a worker.

Each fault has a short form, and a full-length one in ``make proofs`` that prints its figures.
"""

from __future__ import annotations

import math
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.databases import fresh_runs_database, superuser_dsn
from support.locust import Field, locust_field, scenario
from support.target import Target
from support.waiting import free_port, poll_until

from swarmscope.runs.thresholds import CANNOT_TELL as LOST
from swarmscope.stack.postgres import Cluster

FULL = pytest.mark.proof
LONG = [FULL, pytest.mark.timeout(300)]
PER_PROCESS = """
import os

class Visitor(Visitor):
    @task
    def visit(self):
        self.client.get(f"/fast/{os.getpid()}")
"""


@dataclass
class Server:
    """A PostgreSQL server that a test may mistreat."""

    cluster: Cluster
    process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = self.cluster.start(self.cluster.directory / "log")
        poll_until(self._answers, "PostgreSQL to answer", seconds=60)

    def _answers(self) -> bool:
        try:
            psycopg.connect(superuser_dsn(self.cluster)).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Shut it down as `down` does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def kill(self) -> None:
        """Kill it, and every process that serves a connection."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in [self.process.pid, *map(int, children.split())]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        """Stop it and all that serves a connection in their tracks."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in [self.process.pid, *map(int, children.split())]:
            with suppress(ProcessLookupError):  # one whose client is gone may just end
                os.kill(pid, number)


@dataclass(frozen=True)
class Outage:
    """A way in which the database goes away, and how it comes back."""

    name: str
    seconds: float
    begin: Callable[[Server], None]
    end: Callable[[Server], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run a PostgreSQL of this module's own."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-faults-") as name:
        os.chmod(name, 0o755)  # as root the server runs as somebody else
        cluster = Cluster(Path(name), free_port())
        cluster.initialise()
        server = Server(cluster, cluster.start(cluster.directory / "log"))
        poll_until(server._answers, "PostgreSQL to answer", seconds=60)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def field(tmp_path: Path, target: Target, server: Server) -> Iterator[Field]:
    """Return a place for Locust processes, with a database of `server`."""
    with (
        fresh_runs_database(server.cluster) as database,
        locust_field(tmp_path, target.url, database) as place,
    ):
        place.environment = {"REAL_SHIPPER": "1"}
        yield place


def rate(target: Target, seconds: float) -> float:
    """Return the requests/s that the target answers over the next *seconds*."""
    before, start = target.answered(), time.monotonic()
    time.sleep(seconds)
    return (target.answered() - before) / (time.monotonic() - start)


def figures(field: Field, sent: int) -> dict[str, int]:
    """Return what was sent, stored, stored twice and lost."""
    ((stored, different),) = field.query("SELECT count(*), count(DISTINCT trace_id) FROM request")
    return {"sent": sent, "stored": stored, "twice": stored - different, "lost": sent - different}


def assert_conserved(field: Field, sent: int, what: str, **more: float) -> None:
    """Check that rows, histograms and the workers' tallies hold every request once."""
    found = figures(field, sent)
    print(f"\n{what}: {found} { ({name: round(value, 1) for name, value in more.items()}) }")
    assert found == {"sent": sent, "stored": sent, "twice": 0, "lost": 0}
    for resolution in (1, 10, 60):
        counted = field.value(
            "SELECT sum(count) FROM histogram WHERE resolution = %s AND part = 'response'"
            " AND name = ''",
            resolution,
        )
        assert counted == sent
    assert field.value("SELECT sum(samples) FROM run_worker") == sent
    assert field.query("SELECT status, complete FROM run") == [("finished", True)]
    assert field.waiting() == []


@pytest.mark.parametrize(
    "outages",
    [
        pytest.param(
            [
                Outage("stopped", 2, Server.stop, Server.start),
                Outage("killed", 1, Server.kill, Server.start),
                Outage("hanging", 2, Server.pause, Server.resume),
            ],
            id="one after another",
        ),
        pytest.param(
            [Outage("stopped", 60, Server.stop, Server.start)], id="stopped 60 s", marks=LONG
        ),
        pytest.param(
            [Outage("killed", 10, Server.kill, Server.start)], id="killed 10 s", marks=LONG
        ),
        pytest.param(
            [Outage("hanging", 30, Server.pause, Server.resume)], id="hanging 30 s", marks=LONG
        ),
    ],
)
def test_a_database_that_goes_away(field: Field, target: Target, server: Server, outages):
    """It is shut down, or killed in mid-transaction, or answers nothing, in mid-swarm."""
    before = target.answered()
    file = scenario(field.directory)
    ports = ("--master-bind-port", field.master_port, "--master-port", field.master_port)
    workers = ("--processes", 2, *ports) if outages[0].seconds >= 10 else ()
    users = 8 if workers else 4
    locust = field.headless(file, "-u", users, "-r", 100, *workers)
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 0, "the first rows")
    more: dict[str, float] = {}
    for outage in outages:
        more[f"before {outage.name}"] = rate(target, outage.seconds / 2)
        outage.begin(server)
        more[f"while {outage.name}"] = rate(target, outage.seconds)
        outage.end(server)
        stored = field.value("SELECT count(*) FROM request")
        poll_until(
            lambda seen=stored: field.value("SELECT count(*) FROM request") > seen, "rows", 60
        )
    assert locust.end(seconds=120) == 0, locust.text()
    what = ", ".join(f"{outage.name} {outage.seconds} s" for outage in outages)
    assert_conserved(field, target.answered() - before, what, **more)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=LONG)])
def test_a_database_that_comes_later(field: Field, target: Target, server: Server, seconds):
    """The swarm starts first; the database, empty, appears in its middle."""
    before = target.answered()
    name = psycopg.conninfo.conninfo_to_dict(field.database)["dbname"]
    with psycopg.connect(superuser_dsn(server.cluster), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    locust = field.headless(scenario(field.directory), "-u", 4, "-r", 100, "-t", seconds + 3)
    poll_until(lambda: target.answered() > before, "requests")
    usual = rate(target, seconds)
    with psycopg.connect(superuser_dsn(server.cluster), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    assert locust.process.wait(120) == 0, locust.text()
    sent = target.answered() - before
    assert_conserved(field, sent, f"absent for the first {seconds} s", rate_before=usual)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=LONG)])
def test_a_shipper_killed_again_and_again(field: Field, target: Target, seconds):
    """Shippers are killed at random instants; another one takes over each time."""
    before = target.answered()
    file = scenario(field.directory, wait=0.02)
    locust = field.headless(file, "-u", 8, "-r", 100, "-t", seconds)
    dice = random.Random(4)
    kills = 0
    while locust.process.poll() is None and "Shutting down" not in locust.text():
        for pid in field.shippers():
            time.sleep(dice.uniform(0, 0.6))
            kills += _kill(pid)
        time.sleep(0.02)
    assert locust.process.wait(120) == 0, locust.text()
    sent = target.answered() - before
    assert kills >= seconds / 2
    assert_conserved(field, sent, f"shipper killed for {seconds} s", kills=kills)


def assert_accounted_for(field: Field, sent: int, what: str) -> None:
    """Check that some were lost, that rows and dropped add up to all, and that the run ended."""
    rows = field.value("SELECT count(*) FROM request")
    dropped = field.value("SELECT sum(dropped) FROM run_worker")
    print(f"\n{what}: sent {sent}, stored {rows}, dropped {dropped}")
    assert dropped > 0
    assert rows + dropped == sent
    assert field.query("SELECT status, complete FROM run") == [("finished", True)]
    assert field.query("SELECT exit_code FROM testrun") == [(LOST,)]
    assert "samples_dropped" in {kind for (kind,) in field.query("SELECT kind FROM events")}


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=FULL)])
def test_journals_removed_by_somebody(field: Field, target: Target, server: Server, workers):
    """They vanish while the database hangs: what was in them is counted, all else is stored."""
    before = target.answered()
    ports = ("--master-bind-port", field.master_port, "--master-port", field.master_port)
    more = ("--processes", 2, *ports) if workers else ()
    locust = field.headless(scenario(field.directory), "-u", 4, "-r", 100, *more)
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 0, "the first rows", 60)
    server.pause()
    for pid in field.shippers():
        _kill(pid)  # else what it has read already would be stored all the same
    answered = target.answered()
    poll_until(lambda: target.answered() > answered + 100, "more requests", 60)
    shutil.rmtree(field.journals)
    server.resume()
    answered = target.answered()
    poll_until(lambda: target.answered() > answered + 100, "requests after it", 60)
    assert locust.end(seconds=120) == LOST, locust.text()
    assert_accounted_for(field, target.answered() - before, "journals removed")


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=FULL)])
def test_a_disk_that_is_full_until_the_end(field: Field, target: Target, workers):
    """No journal can grow any more: the last count is stored, and the run is no success."""
    before = target.answered()
    ports = ("--master-bind-port", field.master_port, "--master-port", field.master_port)
    more = ("--processes", 2, *ports) if workers else ()
    locust = field.headless(scenario(field.directory), "-u", 4, "-r", 100, *more)
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 0, "the first rows", 60)
    length = min(path.stat().st_size for path in field.waiting())
    for pid in group(locust.process.pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (length, length))
    answered = target.answered()
    poll_until(lambda: target.answered() > answered + 100, "requests without room", 60)
    assert locust.end(seconds=120) == LOST, locust.text()
    assert_accounted_for(field, target.answered() - before, "disk full until the end")


def group(leader: int) -> list[int]:
    """Return the processes of the group that *leader* leads."""
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in processes if _group_of(pid) == leader]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=LONG)])
def test_a_killed_worker(field: Field, target: Target, seconds):
    """A killed worker loses the last tenth of a second, and nothing of the others."""
    file = scenario(field.directory, more=PER_PROCESS)
    master = field.master(file, 2)
    master.start(8)
    first, second = field.started[1:]
    time.sleep(seconds)
    pace = rate(target, 1) / 2
    first.end(signal.SIGKILL)
    path = f"/fast/{second.process.pid}"
    done = target.answered(path)
    poll_until(lambda: target.answered(path) > done + 50, "the other worker's requests")
    master.stop()
    master.end()
    poll_until(lambda: not field.waiting(), "the journals to be delivered")

    sent, stored = [], []
    for pid in (first.process.pid, second.process.pid):
        sent.append(target.answered(f"/fast/{pid}"))
        stored.append(field.value("SELECT count(*) FROM request WHERE name = %s", f"/fast/{pid}"))
    lost = sent[0] - stored[0]
    print(f"\nworker killed: sent {sent[0]}, lost {lost}; the other: sent {sent[1]}, lost 0")
    assert stored[1] == sent[1]
    assert 0 <= lost <= math.ceil(pace * 0.1) + 4  # what was in flight for its users, too
    outcomes = field.query("SELECT outcome, stopped IS NULL FROM run_worker ORDER BY outcome")
    assert outcomes == [("lost", True), ("stopped", False)]
    assert field.query("SELECT status, complete, lost_workers FROM run") == [("finished", False, 1)]
    kinds = field.query("SELECT DISTINCT kind FROM events WHERE kind = 'worker_lost'")
    assert kinds == [("worker_lost",)]
