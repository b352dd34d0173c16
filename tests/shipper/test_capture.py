"""Storing the services' series: tried again while it fails, and never in anybody's way."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from support.answering import answering, lines, moment
from support.locust import scenario
from support.stored_runs import Sample, store_run
from support.waiting import free_port, poll_until

from swarmscope.runs import captures, server_series
from swarmscope.runs.prometheus import Unavailable
from swarmscope.runs.resources import database
from swarmscope.runs.resources.database import DatabaseSample
from swarmscope.runs.resources.model import ResourceKey, Usage
from swarmscope.runs.server_series import Capture
from swarmscope.shipper.capture import MAX_HOLD_S, CaptureThread


@pytest.fixture
def over(runs_database) -> datetime:
    """A run that ended a minute ago."""
    start = datetime.now(UTC) - timedelta(minutes=2)
    with psycopg.connect(runs_database, autocommit=True) as connection:
        return store_run(connection, [Sample(1, 5)], start=start)


@pytest.fixture
def capture_from(runs_database) -> Iterator[Callable[[str | None], CaptureThread]]:
    """Return what starts a thread that captures from a URL; all end before the database does."""
    with contextlib.ExitStack() as threads:
        yield lambda url: threads.enter_context(
            contextlib.closing(CaptureThread(runs_database, {}, url))
        )


def test_a_prometheus_that_is_away_is_complained_of_once(capture_from, runs_database, over, caplog):
    """The shipper lives no longer for it, the log has one line, and nothing is stored."""
    url = f"http://someone:password@127.0.0.1:{free_port()}"
    capturing = capture_from(url)
    assert not capturing.is_busy()

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            capturing.request()
            poll_until(lambda: not capturing.is_busy(), "it to give up")

    (line,) = [r.getMessage() for r in caplog.records if r.name == "swarmscope.shipper.capture"]
    assert "Cannot store the services' series with their runs: Prometheus at 127.0.0.1" in line
    assert "password" not in line
    with psycopg.connect(runs_database) as connection:
        assert captures.stored(connection, over) is None


def test_it_is_tried_again(capture_from, runs_database, over, monkeypatch):
    """A run that was over while Prometheus was away gets its series when that is back."""
    monkeypatch.setattr("swarmscope.shipper.capture.RETRY_S", 0.1)
    away = iter([True, True])

    def read(url, since, until, targets, levels) -> Capture:
        if next(away, False):
            raise Unavailable("not yet")
        return Capture(since, 2.0, {("api", "workers"): [2.0]})

    monkeypatch.setattr(server_series, "read", read)
    capturing = capture_from("http://prometheus.test")
    capturing.request()

    def stored() -> Capture | None:
        with psycopg.connect(runs_database) as connection:
            return captures.stored(connection, over)

    assert poll_until(stored, "the series").series == {("api", "workers"): [2.0]}


def test_a_run_that_cannot_be_stored_is_in_no_other_ones_way(
    capture_from, runs_database, over, monkeypatch, caplog
):
    """A service chooses its labels: one that no index can hold costs that run its series."""

    def read(url, since, until, targets, levels) -> Capture:
        usage = Usage([5.0], [4.0], [0.0])
        detail = "main" if since == over else random.randbytes(5_000).hex()
        return Capture(since, 2.0, {}, resources={ResourceKey("api", "pool", detail): usage})

    monkeypatch.setattr(server_series, "read", read)
    with psycopg.connect(runs_database, autocommit=True) as connection:
        later = store_run(connection, [Sample(1, 5)], start=over + timedelta(seconds=30))
        capture_from("http://prometheus.test").request()
        assert poll_until(lambda: captures.stored(connection, over), "the other run's capture")
        assert captures.stored(connection, later) is None
    poll_until(lambda: caplog.text, "the complaint")
    assert "Cannot store the services' series with their runs: index row" in caplog.text


def test_what_was_sampled_of_the_apps_database_is_stored_with_it(
    capture_from, runs_database, over, monkeypatch
):
    """On the axis of the series, beside what Prometheus knows."""
    at = over + timedelta(seconds=2)
    sample = DatabaseSample(at, "shop", None, None, 3, 1, 0, 0, 0, 0, 0, 0, 20, 97)
    pool = ResourceKey("api", "pool", "main")

    def read(url, since, until, targets, levels) -> Capture:
        usage = Usage([5.0], [4.0], [0.0])
        return Capture(since, 2.0, {("api", "workers"): [2.0]}, resources={pool: usage})

    monkeypatch.setattr(server_series, "read", read)
    with psycopg.connect(runs_database, autocommit=True) as connection:
        database.store(connection, over, [sample])
        capture_from("http://prometheus.test").request()
        stored = poll_until(lambda: captures.stored(connection, over), "the capture")

    assert stored.resources[pool].used == [4.0]
    assert stored.resources[ResourceKey("", "database", "shop")].used[1] == 3


def test_without_an_address_nothing_waits(capture_from, over, caplog):
    """Nobody is asked, and nobody lives longer for it."""
    capturing = capture_from(None)
    capturing.request()

    poll_until(lambda: not capturing.is_busy(), "the look", MAX_HOLD_S / 2)
    assert "Cannot store" not in caplog.text


def constant(form, headers) -> bytes:
    if "start" not in form:
        return moment({"job": "api", "instance": "127.0.0.1:9102"})
    return lines(("api", [(float(form["start"]), "2.5")]))


def test_a_run_is_asked_for_where_its_own_locust_said(field):
    """A shipper that another Locust started has another address, or none."""
    file = scenario(field.directory)
    other = field.with_ui(file)
    other.start(1)
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 0, "its shipper's work")
    shippers = field.shippers()

    with answering(constant) as url:
        ours = field.headless(file, "-u", 1, "-t", "2s", "--prometheus-url", url)
        assert ours.process.wait(60) == 0, ours.text()
        run = field.value("SELECT id FROM testrun ORDER BY id DESC LIMIT 1")
        captured = "SELECT points FROM server_series WHERE run_id = %s AND name = 'workers'"
        poll_until(lambda: field.query(captured, run), "the series", 30)

    assert field.shippers() == shippers
    assert field.query(captured, run)[0][0][0] == 2.5
    stored = field.value("SELECT r::text FROM testrun r WHERE id = %s", run)
    assert "someone" not in stored
    assert "pass%20word" not in stored
    assert "pass%20word" not in ours.text() + other.text()


def test_a_running_run_has_its_services(capture_from, runs_database, monkeypatch):
    """Dashboards show them before its series are stored, and those that are called later, too."""
    monkeypatch.setattr("swarmscope.shipper.capture.FOLLOW_S", 0.1)
    called = []

    def answer(form, headers) -> bytes:
        if "outgoing" in form["query"]:
            return moment(*called)
        if "listener" in form["query"]:
            return moment()
        return moment(*({"job": job, "instance": f"{job}:9102"} for job in ("orders", "shop")))

    with psycopg.connect(runs_database, autocommit=True) as connection:
        start = datetime.now(UTC) - timedelta(seconds=30)
        run = store_run(connection, [Sample(1, 5)], start=start, lasted_s=None)
        connection.execute("UPDATE testrun SET hosts = 'http://shop:8000'")

        def stored() -> str:
            ((services,),) = connection.execute("SELECT services_of(%s)", [run])
            return services

        with answering(answer) as url:
            capture_from(url)
            poll_until(lambda: stored() == "shop", "the target")
            called.append({"job": "shop", "host": "orders:80"})
            poll_until(lambda: stored() == "orders|shop", "the one that it calls")
        assert connection.execute("SELECT count(*) FROM server_capture").fetchone() == (0,)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The addresses that are asked, one after the other."""
    urls: list[str] = []

    def read(url, since, until, targets, levels) -> Capture:
        urls.append(url)
        if "away" in url:
            raise Unavailable("it is away")
        return Capture(since, 2.0, {})

    monkeypatch.setattr(server_series, "read", read)
    return urls


@pytest.mark.parametrize(
    ("named", "host", "own", "expected"),
    [
        ("http://a:9090", "elsewhere", None, ["http://a:9090"]),
        ("http://a:9090", "elsewhere", "http://b:9090", ["http://a:9090"]),
        ("http://a:9090", "here", "http://me:word@a:9090/", ["http://me:word@a:9090/"]),
        ("http://127.0.0.1:9090", "here", "http://b:9090", ["http://127.0.0.1:9090"]),
        ("http://127.0.0.1:9090", "elsewhere", "http://b:9090", []),
        (None, "elsewhere", "http://b:9090", ["http://b:9090"]),
        (None, "here", None, []),
    ],
)
def test_who_is_asked(capture_from, runs_database, over, asked, named, host, own, expected):
    """What the run's options named comes first; a loopback address holds on its own machine."""
    lead(runs_database, over, named, socket.gethostname() if host == "here" else host)
    capturing = capture_from(own)
    capturing.request()
    poll_until(lambda: not capturing.is_busy(), "the look")

    assert asked == expected


def test_one_that_is_away_holds_up_no_other(capture_from, runs_database, asked, caplog):
    """Each is asked once in a look, and each is complained of."""
    now = datetime.now(UTC) - timedelta(minutes=10)
    runs = [now + timedelta(seconds=2 * number) for number in range(3)]
    with psycopg.connect(runs_database, autocommit=True) as connection:
        for start in runs:
            store_run(connection, [Sample(1, 5)], start=start, lasted_s=1)
    names = ["http://a:9090", "http://away:9090", "http://away:9090"]
    for run, named in zip(runs, names, strict=True):
        lead(runs_database, run, named, "elsewhere")

    with caplog.at_level(logging.WARNING):
        capturing = capture_from(None)
        capturing.request()
        poll_until(lambda: not capturing.is_busy(), "the look")

    assert asked == ["http://away:9090", "http://a:9090"]
    assert caplog.text.count("it is away") == 1


def lead(database: str, run: datetime, named: str | None, host: str) -> None:
    """Say which Prometheus a run's options named, and on which machine it was led."""
    with psycopg.connect(database, autocommit=True) as connection:
        journal = uuid4()
        connection.execute(
            "INSERT INTO journal (id, worker, host) VALUES (%s, 'worker', %s)", [journal, host]
        )
        connection.execute(
            "UPDATE testrun SET prometheus_url = %s, journal_id = %s WHERE id = %s",
            [named, journal, run],
        )
