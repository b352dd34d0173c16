"""A swarm whose workers are on other machines, one of which cannot reach the runs database.

The machines are network namespaces. ``hub`` has everything but workers; ``near`` reaches all of it;
``far`` reaches the master and the API and has no route to the database, and its clock is wrong.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support.hosts import Host, connect, hosts
from support.locust import LOCUST, Locust, faketime
from support.native import Native, native
from support.processes import clean_environment, running
from support.waiting import poll_until

from swarmscope.shipper.process import Shipper
from swarmscope.stack.layout import Home
from swarmscope.stack.up_record import read_record

# Three machines' programs on one; `test_remote` asks about one end, `test_conservation` about one.
pytestmark = [pytest.mark.stack, pytest.mark.proof, pytest.mark.timeout(300)]

HUB = "198.18.0.1"  # of RFC 2544's block for benchmarks; all machines have a route to it
DATABASE = "198.18.1.1"  # the hub's end of the cable to `near`
USERS = 12
SECONDS = 60  # to wait at most


@dataclass(frozen=True)
class Machine:
    """A stack, or a part of one, on a host of its own."""

    host: Host
    stack: Native

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `swarmscope ARGUMENTS` there to its end."""
        with self.host.inside():
            return self.stack.run(*arguments)

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `swarmscope ARGUMENTS` there in this process, where it starts nothing."""
        with self.host.inside():
            return self.stack.ask(*arguments)


@dataclass(frozen=True)
class Hub(Machine):
    """The machine with API, database and Locust's master."""

    def get(self, port: str, path: str) -> requests.Response:
        """Return the answer of what listens at the port of that setting."""
        url = f"http://127.0.0.1:{self.stack.environment[port]}{path}"
        with self.host.inside():
            return requests.get(url, timeout=10)

    def swarm(self, **form: object) -> None:
        """Start a swarm, or without a form stop it, as the UI does."""
        url = f"http://127.0.0.1:{self.stack.environment['LOCUST_WEB_PORT']}"
        with self.host.inside():
            if form:
                answer = requests.post(f"{url}/swarm", data=form, timeout=10)
            else:
                answer = requests.post(f"{url}/stop", timeout=10)
        assert answer.json()["success"], answer.text

    def state(self) -> dict:
        """Return what the UI shows."""
        return self.get("LOCUST_WEB_PORT", "/stats/requests").json()

    def sent(self) -> int:
        """Return how many requests Locust has finished."""
        rows = [row for row in self.state()["stats"] if row["name"] == "Aggregated"]
        return int(rows[0]["num_requests"]) if rows else 0

    def counted(self) -> int:
        """Return how many requests the API has counted."""
        families = text_string_to_metric_families(self.get("API_METRICS_PORT", "/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        name = "flask_http_request_duration_seconds_count"
        return int(sum(sample.value for sample in samples if sample.name == name))

    def query(self, statement: str) -> list[tuple]:
        """Return the rows of a query of the runs database."""
        url = (self.stack.home / "database.url").read_text().strip()
        with self.host.inside(), psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()

    def ship(self, journals: Path) -> None:
        """Deliver what is in a directory."""
        shipper = Shipper(journals, (self.stack.home / "database.url").read_text().strip())
        with self.host.inside():
            while shipper.round():
                continue
            shipper.disconnect()


@dataclass(frozen=True)
class Machines:
    """The three, up and connected."""

    hub: Hub
    near: Machine
    far: Locust
    journals: Path  # of `far`
    said: dict[str, str]  # what each `up` said


@pytest.fixture(scope="module")
def machines(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Start `near` first, then the hub, then `far`; all of it ends with the module."""
    directory = tmp_path_factory.mktemp("machines")
    with hosts("hub", "near", "far") as (hub, near, far), contextlib.ExitStack() as cleaning:
        _wire(hub, near, far)
        middle = Hub(hub, _hub_stack(root, directory / "hub"))
        end = Machine(near, _near_stack(root, directory / "near", middle.stack))
        cleaning.callback(middle.stack.kill_leftovers)
        cleaning.callback(middle.ask, "down")  # a killed PostgreSQL leaves shared memory behind
        cleaning.callback(end.stack.kill_leftovers)
        said = _start(middle, end)
        locust = cleaning.enter_context(_far_worker(far, root, directory, middle.stack))
        poll_until(lambda: len(middle.state()["workers"]) == 2, "two workers", SECONDS)
        yield Machines(middle, end, locust, directory / "journals", said)


def _wire(hub: Host, near: Host, far: Host) -> None:
    hub.ip("address", "add", f"{HUB}/32", "dev", "lo")
    for host, network in ((near, "198.18.1"), (far, "198.18.2")):
        connect(hub, host, network)
        host.ip("route", "add", HUB, "via", f"{network}.1")


def _hub_stack(root: Path, path: Path) -> Native:
    stack = native(root, path)
    settings = {
        "API_HOST": "0.0.0.0",
        "LOCUST_HOST": f"http://{HUB}:{stack.environment['API_PORT']}",
        "LOCUST_MASTER_BIND_HOST": "0.0.0.0",
        "POSTGRES_BIND_HOST": DATABASE,
    }
    return replace(stack, environment={**stack.environment, **settings})


def _near_stack(root: Path, path: Path, hub: Native) -> Native:
    """Return a machine that is told where master and database are, and has the password file."""
    stack = native(root, path)
    settings = {
        "LOCUST_MASTER_NODE_PORT": hub.environment["LOCUST_MASTER_BIND_PORT"],
        "PGHOST": DATABASE,
        "PGPORT": hub.environment["POSTGRES_PORT"],
    }
    for home in (Home(hub.home), Home(stack.home)):
        home.make()
    Home(hub.home).write_pgpass(int(settings["PGPORT"]), ["*"])
    shutil.copy(hub.home / "pgpass", stack.home)
    return replace(stack, environment={**stack.environment, **settings})


def _start(hub: Hub, near: Machine) -> dict[str, str]:
    """Start both, the worker first; return what they said, by name."""
    with near.host.inside():
        waiting = near.stack.popen(
            "up", "--detach", "--only", "locust-worker", "--master-host", HUB
        )
    assert waiting.stdout
    first = waiting.stdout.readline()
    parts = [word for part in ("postgres", "app", "locust") for word in ("--only", part)]
    done = hub.run("up", "--detach", *parts)
    assert done.returncode == 0, done.stdout + done.stderr
    rest, _ = waiting.communicate(timeout=SECONDS)
    assert waiting.returncode == 0, first + rest
    return {"hub": done.stdout, "near": first + rest}


@contextlib.contextmanager
def _far_worker(host: Host, root: Path, directory: Path, hub: Native) -> Iterator[Locust]:
    """Run a plain Locust worker, as somebody does who knows of no `swarmscope up`."""
    master = ("--master-host", HUB, "--master-port", hub.environment["LOCUST_MASTER_BIND_PORT"])
    environment = clean_environment(
        LOCUST_DRAIN_TIME="1",
        LOCUST_JOURNAL_DIR=str(directory / "journals"),
        PGHOST=DATABASE,
        PGPORT=hub.environment["POSTGRES_PORT"],
        **faketime("+10m"),
    )
    command = [LOCUST, "-f", "locustfiles", "--worker", "--timescale", *master]
    log = directory / "far.log"
    with contextlib.ExitStack() as parts:
        with host.inside():
            process = parts.enter_context(running(command, log, environment, root))
        yield Locust(process, log)


def started(machine: Machine) -> set[str]:
    """Return the names of the services that run there."""
    record = read_record(Home(machine.stack.home))
    assert record
    return set(record.urls)


def test_each_says_what_it_waits_for_and_what_it_opens(machines: Machines) -> None:
    """A worker that comes first waits for its master; the hub warns of its open doors."""
    hub, near = (machines.said[name] for name in ("hub", "near"))

    assert near.startswith(f"locust-worker is waiting: no master answers at {HUB}:")
    assert "locust-worker-1 is ready" in near
    assert "No database" not in near
    assert "Locust's master listens at 0.0.0.0:" in hub
    assert f"PostgreSQL listens at {DATABASE}:" in hub
    assert started(machines.near) == {"locust-worker-1"}
    assert started(machines.hub) == {"postgres", "api", "locust"}


def test_the_database_lets_only_its_own_roles_in(machines: Machines) -> None:
    """Nobody becomes the superuser from another machine, whatever password they have."""
    port = machines.near.stack.environment["PGPORT"]
    answers = {}
    for role in ("postgres", "swarmscope", "swarmscope_reader"):
        where = f"host={DATABASE} port={port} user={role} password=wrong dbname=swarmscope"
        with machines.near.host.inside(), pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(where)
        answers[role] = "no pg_hba.conf entry" in str(refused.value)

    assert answers == {"postgres": True, "swarmscope": False, "swarmscope_reader": False}


def test_sent_is_counted_is_stored_once_all_journals_are_brought(machines: Machines) -> None:
    """No sample is lost, nor twice, though one journal comes twice; until it does, it is missed."""
    hub = machines.hub
    hub.swarm(user_count=USERS, spawn_rate=USERS)
    poll_until(lambda: hub.sent() > 3 * USERS, "requests", SECONDS)
    hub.swarm()
    poll_until(lambda: hub.state()["state"] in ("stopped", "ready"), "the swarm to stop", SECONDS)
    poll_until(lambda: hub.sent() == hub.counted(), "sent = counted", SECONDS)
    stopped = "SELECT count(*) FROM run_worker WHERE stopped IS NOT NULL"
    poll_until(lambda: hub.query(stopped) == [(1,)], "the near worker's stop record", SECONDS)
    ((stored, complete),) = hub.query("SELECT count(*), (SELECT complete FROM run) FROM request")
    assert 0 < stored < hub.sent()
    assert not complete

    machines.far.end()
    copy = shutil.copytree(machines.journals, machines.journals.with_name("copy"))
    done = hub.ask("ship", str(machines.journals))
    hub.ship(copy)

    log = machines.far.text()
    assert "Cannot write to the runs database; samples are queued in" in log
    assert "Network is unreachable" in log
    assert f"remain in {machines.journals}: 'swarmscope ship {machines.journals}'" in log
    assert f"{hub.sent() - stored:,} samples delivered" in done.stdout, done.stderr
    assert hub.query("SELECT count(*) FROM request") == [(hub.sent(),)]
    assert hub.query("SELECT complete FROM run") == [(True,)]


def test_the_far_machines_clock_is_put_right(machines: Machines) -> None:
    """It is ten minutes off; its samples lie within the run all the same."""
    offsets = "SELECT round(clock_offset_s) FROM run_worker ORDER BY 1"
    within = (
        "SELECT bool_and(r.time BETWEEN t.id - interval '1 s' AND t.end_time + interval '1 s')"
        " FROM request r JOIN testrun t ON t.id = r.run_id"
    )

    assert machines.hub.query(offsets) == [(-600,), (0,)]
    assert machines.hub.query(within) == [(True,)]
