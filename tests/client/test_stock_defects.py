"""What locust-plugins' Timescale listener gets wrong, each shown on it and gone from ours.

The line numbers are those of locust_plugins/listeners/timescale.py at 5.0.3. The stock listener's
cases, which ``make proofs`` runs, are expected to fail; should one pass some day, that is told.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from support.databases import fresh_runs_database
from support.locust import Field, faketime, locust_field, scenario
from support.target import Target
from support.waiting import poll_until

STOCK_FAILS = pytest.param(
    "stock",
    marks=[
        pytest.mark.proof,
        pytest.mark.xfail(strict=True, reason="a defect of the stock listener"),
    ],
)
LISTENERS = ["ours", STOCK_FAILS]
both = pytest.mark.parametrize("listener", LISTENERS, indirect=True)
ours = pytest.mark.parametrize("listener", ["ours"], indirect=True)

WARN = """
import gevent
from locust import events

@events.init.add_listener
def warn_of_cpu(environment, **_):
    event = environment.events.cpu_warning
    gevent.spawn_later(0.2, lambda: event.fire(environment=environment, cpu_usage=99))
"""
SHAPE = """
from locust import LoadTestShape

class Step(LoadTestShape):
    def tick(self):
        return (4, 100) if self.get_run_time() < 2 else None
"""
ODD = """
import time

class Odd(Visitor):
    weight = 0
    abstract = False

@events.test_start.add_listener
def fire(environment, **_):
    gevent.spawn_later(0.5, fire_odd_requests, environment)

def fire_odd_requests(environment):
    for length in (None, -1, 10):
        environment.events.request.fire(
            request_type="ODD", name=f"length {length}", response_time=1.0, response_length=length,
            exception=None, context={}, start_time=time.time(), url=None, response=None,
        )
"""


@pytest.fixture(scope="module")
def listener(request: pytest.FixtureRequest) -> str:
    """Return which listener records: ``ours`` or ``stock``."""
    return str(request.param)


@dataclass(frozen=True)
class Life:
    """A process in which two runs of 3 and 2 users were started and stopped from the UI."""

    field: Field
    password: str
    log: str
    connections: int  # to the database, while the UI was idle after the second run
    open_runs: int  # at the same time
    counts_between: int  # user counts written while no run was on


@pytest.fixture(scope="module")
def life(listener, cluster, target, tmp_path_factory) -> Iterator[Life]:
    """Live it with *listener*."""
    password = cluster.passfile.read_text().strip().rpartition(":")[2]
    with (
        fresh_runs_database(cluster) as database,
        locust_field(tmp_path_factory.mktemp(listener), target.url, database) as field,
    ):
        yield _live(field, listener, password)


def _live(field: Field, listener: str, password: str) -> Life:
    file = scenario(field.directory, listener=listener, more=WARN)
    url = "http://grafana.example/d/swarmscope-swarm"
    locust = field.with_ui(file, "--pgpassword", password, "--grafana-url", url)
    stops = []
    for users in (3, 2):
        locust.start(users)
        poll_until(lambda: locust.done() > 10, "requests")
        locust.stop()
        poll_until(lambda: locust.state()["state"] == "stopped", "the swarm to stop")
        stops.append(time.time())
        time.sleep(2.5)  # the stock listener counts users every 2 s
    name = psycopg.conninfo.conninfo_to_dict(field.database)["dbname"]
    connections = field.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", name
    )
    open_runs = field.value("SELECT count(*) FROM testrun WHERE end_time IS NULL")
    between = sum(
        field.value(
            "SELECT count(*) FROM user_count WHERE extract(epoch FROM time) BETWEEN %s AND %s",
            *(stop + 0.2, stop + 2.4),
        )
        for stop in stops
    )
    locust.end()
    return Life(field, password, locust.text(), connections, open_runs, between)


@both
def test_a_run_stopped_in_the_ui_is_closed(life):
    """A run ends when it is stopped, not when the process does (L214-220, L133)."""
    assert life.open_runs == 0


@both
def test_user_counts_belong_to_a_run(life):
    """Users are counted while a run is on, once, and not in between (L142)."""
    assert life.counts_between == 0


@ours
def test_one_connection_is_enough(life):
    """A second run opens no second connection.

    The stock listener opens one per run and leaves it to reference counting to close the last.
    """
    assert life.connections == 1


@both
def test_no_password_is_stored(life):
    """The password given on the command line is in no row (L276-291)."""
    rows = life.field.query("SELECT row_to_json(t)::text FROM testrun t")
    assert rows
    assert not [row for (row,) in rows if life.password in row]


@both
def test_the_link_is_a_link(life):
    """The log's links carry their variables whether or not the URL has a question mark (L135)."""
    links = re.findall(r"http://grafana\.example\S+", life.log)
    queries = [parse_qs(urlsplit(link).query) for link in links]
    assert len(links) == 4
    assert all("from" in query and "to" in query for query in queries)


@both
def test_events_belong_to_a_run(life):
    """Every event names its run and its kind (the table had time and text only)."""
    kinds = life.field.query(
        "SELECT kind, run_id FROM events WHERE coalesce(kind, '') NOT IN ('note', 'trust')"
        " ORDER BY time"
    )
    assert len(kinds) == 6
    assert [kind for kind, _ in kinds] == 2 * ["started", "ramp_up_complete", "stopped"]
    assert all(run is not None for _, run in kinds)


@both
def test_a_cpu_warning_before_the_first_run_is_no_error(life):
    """An early warning of Locust's does not raise in the listener (L90-97)."""
    assert "Uncaught exception" not in life.log


@both
def test_a_swarm_starts_without_a_database(field: Field, target: Target, listener):
    """A database that is away does not end the process (L126-129)."""
    before = target.answered()
    file = scenario(field.directory, listener=listener)
    options = ("-u", 2, "-r", 10, "-t", "2s", "--drain-time", 0) if listener == "ours" else ()
    locust = field.headless(file, *(options or ("-u", 2, "-r", 10, "-t", "2s")), PGPORT="1")
    assert locust.process.wait(60) == 0, locust.text()
    assert target.answered() > before


@both
def test_a_database_that_goes_away_costs_nothing(field: Field, target: Target, listener):
    """Samples of an outage are stored after it, and the process lives on (L188-189, L210-212)."""
    before = target.answered()
    file = scenario(field.directory, listener=listener)
    locust = field.headless(file, "-u", 2, "-r", 10)
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 0, "the first rows")
    with _database_closed(field.database):
        seen = target.answered()
        poll_until(lambda: target.answered() > seen + 50, "requests during the outage", 10)
    assert locust.end() == 0, locust.text()
    assert field.value("SELECT count(*) FROM request") == target.answered() - before


class _database_closed:
    """Lets nobody connect to a database, and ends the connections that there are."""

    def __init__(self, database: str) -> None:
        self._name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
        self._admin = psycopg.connect(
            database.replace(str(self._name), "postgres"), autocommit=True
        )

    def __enter__(self) -> None:
        self._allow("false")
        self._admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (self._name,),
        )

    def __exit__(self, *_: object) -> None:
        self._allow("true")
        self._admin.close()

    def _allow(self, answer: str) -> None:
        self._admin.execute(f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS {answer}")


@pytest.fixture(scope="module")
def late(listener, cluster, target, tmp_path_factory) -> Iterator[tuple[Field, int]]:
    """A worker that joins late and whose clock is 10 minutes slow."""
    with (
        fresh_runs_database(cluster) as database,
        locust_field(tmp_path_factory.mktemp(listener), target.url, database) as field,
    ):
        yield _join_late(field, target, listener)


def _join_late(field: Field, target: Target, listener: str) -> tuple[Field, int]:
    """Return how many requests were answered."""
    path = f"/fast/{listener}"
    before = target.answered(path)
    file = scenario(field.directory, path=path, listener=listener)
    master = field.master(file, 1, "--stop-timeout", 5)
    master.start(2)
    field.worker(file, **faketime("-10m"))
    poll_until(lambda: [w["user_count"] for w in master.state()["workers"]] == [1, 1], "a share")
    done = target.answered(path)
    poll_until(lambda: target.answered(path) > done + 100, "requests of both")
    master.stop()
    poll_until(lambda: len(master.state()["workers"]) == 2, "both workers")
    answered = target.answered(path) - before
    master.end()
    for locust in field.started:
        with contextlib.suppress(subprocess.TimeoutExpired):  # the stock listener may hang
            locust.process.wait(5)
    return field, answered


@both
def test_a_late_worker_belongs_to_the_run(late):
    """No sample of a worker that joins a run late is missing (L68, L75)."""
    field, answered = late
    assert field.value("SELECT count(*) FROM request") == answered


@both
def test_samples_of_a_wrong_clock_land_inside_the_run(late):
    """A worker's clock that is 10 minutes slow does not move its samples out of the run."""
    field, _ = late
    outside = field.value(
        "SELECT count(*) FROM request JOIN testrun ON id = run_id"
        " WHERE time < id - interval '1 s' OR time > end_time + interval '1 s'"
    )
    pids = field.value("SELECT count(DISTINCT pid) FROM request")
    assert (outside, pids) == (0, 2)


@both
def test_the_summary_counts_every_worker(late):
    """The run's own summary holds the requests of all workers (L331-349)."""
    field, answered = late
    assert field.value("SELECT requests FROM testrun") == answered


@both
def test_odd_samples_are_stored(field: Field, target: Target, listener):
    """A request without a size is stored like any other (L257)."""
    file = scenario(field.directory, listener=listener, more=WARN + ODD)
    before = target.answered()
    locust = field.headless(file, "-u", 2, "-r", 10)
    poll_until(lambda: target.answered() > before + 100, "requests")
    locust.end()
    stored = field.query("SELECT name, response_length FROM request WHERE request_type = 'ODD'")
    assert sorted(stored) == [("length -1", None), ("length 10", 10), ("length None", None)]


@both
def test_a_shapes_users_are_counted(field: Field, listener):
    """The number of users is the one that ran, not the command line's (L282)."""
    file = scenario(field.directory, listener=listener, more=SHAPE)
    locust = field.headless(file, *(("--shape", "Step") if listener == "ours" else ()))
    locust.process.wait(60)
    assert field.value("SELECT num_clients FROM testrun") == 4
