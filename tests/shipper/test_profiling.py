"""Profiles taken while a run is running, of real workers, until it is over."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from support.answering import answering, moment
from support.gunicorn import ROOT, running_gunicorn
from support.profiling import ask, load
from support.stored_runs import Sample, store_run
from support.timed_client import get
from support.waiting import free_port, poll_until

from swarmscope.journal.segments import segment_path
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING, Profile
from swarmscope.runs.profiles.shares import top_frames
from swarmscope.shipper import profiling
from swarmscope.shipper.profiling import ProfilingThread

APP = "support.profiled_service:create_app()"
SOURCE = "tests/support/profiled_service.py"


@pytest.fixture
def service(tmp_path: Path):
    """Return a function that runs gunicorn with profiles."""

    @contextlib.contextmanager
    def run(*options: str, profiles: str = "1", token: Path | None = None):
        environment = {
            "SWARMSCOPE_METRICS_PORT": "0",
            "SWARMSCOPE_METRICS_HOST": "0.0.0.0" if token else "127.0.0.1",
            "SWARMSCOPE_PROFILES": profiles,
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        }
        if token:
            environment["SWARMSCOPE_PROFILES_TOKEN_FILE"] = str(token)
        command = ("-c", "python:swarmscope.server.serve", "-w", "1", *options, APP)
        with running_gunicorn(*command, log=tmp_path / "log", environment=environment) as server:
            poll_until(lambda: server.metrics_url, "the metrics to be served")
            get(server.port, "/pid")
            yield server

    return run


@pytest.fixture
def running(runs_database: str, tmp_path: Path) -> datetime:
    """A running run that is led from here."""
    journal = uuid4()
    segment_path(tmp_path, journal.hex, 0).touch()
    start = datetime.now(UTC) - timedelta(seconds=1)
    with psycopg.connect(runs_database, autocommit=True) as connection:
        run = store_run(connection, [Sample(1, 5)], start=start, lasted_s=None)
        connection.execute("UPDATE testrun SET journal_id = %s, services = 'shop'", [journal])
    return run


@pytest.fixture
def profiled(runs_database: str, tmp_path: Path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Return a function that profiles the service at an address, in short turns."""
    monkeypatch.setattr(profiling, "TURNS", ((CPU, 1.5), (WAITING, 1.0)))
    monkeypatch.setattr(profiling, "LOOK_S", 0.1)
    with contextlib.ExitStack() as stack:

        def begin(address: str | None) -> ProfilingThread:
            at = urlsplit(address or "").netloc
            url = stack.enter_context(
                answering(lambda form, _: moment({"job": "shop", "instance": at}))
            )
            thread = ProfilingThread(runs_database, {}, url, tmp_path)
            return stack.enter_context(contextlib.closing(thread))

        yield begin


def end(database: str, run: datetime) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE testrun SET status = 'finished', end_time = now() WHERE id = %s", [run]
        )


def test_what_the_workers_ran_is_stored_with_the_run(service, profiled, running, runs_database):
    """By route, with the application's own lines, until the run is over; joined then."""
    with service() as server, psycopg.connect(runs_database, autocommit=True) as connection:
        thread = profiled(server.metrics_url)
        with load(server.port, ("/both", "/asleep"), clients=2) as sent:
            taken = lambda: len(storage.windows(connection, running))  # noqa: E731
            poll_until(lambda: taken() >= 4, "two turns", 60)
        true = sent.share("/both", "hot", "warm")
        end(runs_database, running)
        thread.expect_end()
        poll_until(lambda: not thread.is_busy(), "the end")

        assert [w.kind for w in storage.windows(connection, running)] == [CPU, WAITING]
        both = storage.read(connection, running, CPU, "shop").of_route("/both")
        hot, warm = of(both, "hot"), of(both, "warm")
        assert hot / (hot + warm) == pytest.approx(true, abs=0.1)
        (busy,) = top_frames(both)
        assert (busy.frame.function, busy.frame.file) == ("burn", SOURCE)
        waiting = storage.read(connection, running, WAITING, "shop").of_route("/asleep")
        assert top_frames(waiting)[0].frame.function == "wait_asleep"


def in_(stack, function: str) -> bool:
    return any(frame.function == function for frame in stack)


CLASSES = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "3"),
    "gevent": ("-k", "gevent"),
}
OF_KNOWN_SHARES = (  # path, route, two functions
    ("/both", "/both", ("hot", "warm")),
    ("/items/7", "/items/<int:number>", ("hot", "warm")),
    ("/long", "/long", ("long_call", "burn")),
    ("/named", "/named", ("slow_expression", "encode_json")),
)


@pytest.mark.proof
@pytest.mark.timeout(240)
@pytest.mark.parametrize("worker_class", CLASSES)
def test_what_is_stored_names_what_took_the_time(
    service, profiled, running, runs_database, worker_class
):
    """Hot functions, a slow expression, an encoder, one long call of C; a sleep and a convoy.

    By route, each share within 10 % of what clocks in the functions measured.
    """
    with (
        service(*CLASSES[worker_class]) as server,
        psycopg.connect(runs_database, autocommit=True) as connection,
    ):
        profiled(server.metrics_url)

        def wait_for(kind: str, microseconds: int) -> Profile:
            def found() -> Profile | None:
                profile = storage.read(connection, running, kind, "shop")
                return profile if profile.total_us > microseconds else None

            return poll_until(found, "profiles", 100)

        with load(server.port, [path for path, *_ in OF_KNOWN_SHARES], clients=4) as sent:
            busy = wait_for(CPU, 6_000_000)
        with load(server.port, ("/asleep", "/locked"), clients=3):
            before = storage.read(connection, running, WAITING, "shop").total_us
            wait_for(WAITING, before + 4_000_000)
        waiting = storage.read(connection, running, WAITING, "shop")

    for path, route, functions in OF_KNOWN_SHARES:
        one, another = (of(busy.of_route(route), function) for function in functions)
        true = sent.share(path, *functions)
        assert one / (one + another) == pytest.approx(true, abs=0.1), path
    for route, function in (("/asleep", "wait_asleep"), ("/locked", "wait_for_lock")):
        assert of(waiting.of_route(route), function) > 0.7 * waiting.of_route(route).total_us > 0
    named = [one.frame for one in top_frames(busy.of_route("/named"))]
    assert {frame.function for frame in named} == {"slow_expression", "encode_json"}
    assert all(frame.file == SOURCE for frame in named)


def of(profile: Profile, function: str) -> int:
    """Return the microseconds of stacks that *function* is in."""
    return sum(us for (_, stack), us in profile.stacks.items() if in_(stack, function))


def test_a_service_without_profiles_is_left_alone(
    service, profiled, running, runs_database, caplog
):
    with service(profiles="0") as server, caplog.at_level(logging.WARNING):
        thread = profiled(server.metrics_url)
        poll_until(lambda: thread._run and thread._run._not_before, "the probe")
    assert set(thread._run._not_before.values()) == {float("inf")}
    assert not [r for r in caplog.records if r.name == "swarmscope.shipper.profiling"]


def test_a_token_is_sent_to_a_service_that_asks_for_one(
    service, profiled, running, runs_database, tmp_path, monkeypatch, caplog
):
    """Without it, or with another one, the log says so once."""
    token = tmp_path / "token"
    token.write_text("right\n")
    monkeypatch.setattr(profiling, "RETRY_S", 0.0)
    monkeypatch.delenv("SWARMSCOPE_PROFILES_TOKEN_FILE", raising=False)
    with (
        service(token=token) as server,
        caplog.at_level(logging.WARNING),
        psycopg.connect(runs_database, autocommit=True) as connection,
    ):
        port = urlsplit(server.metrics_url).port
        at = f"127.0.0.2:{port}"  # which is no name of this machine's to the endpoint
        profiled(f"http://{at}")
        poll_until(lambda: caplog.text, "the refusal")
        monkeypatch.setenv("SWARMSCOPE_PROFILES_TOKEN_FILE", str(token))
        with load(server.port, ("/both",), clients=1):
            poll_until(lambda: storage.windows(connection, running), "a profile", 30)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "swarmscope.shipper.profiling"]
    assert line == (
        f"Cannot take profiles of shop at {at}: it needs the token; SWARMSCOPE_PROFILES_TOKEN_FILE"
        " is not set for Locust"
    )


def test_somebody_elses_profile_is_waited_out(service, profiled, running, runs_database, caplog):
    with (
        service() as server,
        caplog.at_level(logging.WARNING),
        psycopg.connect(runs_database, autocommit=True) as connection,
        load(server.port, ("/both",), clients=1),
    ):
        theirs = threading.Thread(target=ask, args=(server.metrics_url,), kwargs={"seconds": 3})
        theirs.start()
        profiled(server.metrics_url)
        poll_until(lambda: storage.windows(connection, running), "a profile", 30)
        theirs.join()
        assert not [r for r in caplog.records if r.name == "swarmscope.shipper.profiling"]


def test_a_dead_peer_costs_one_line(profiled, running, caplog, monkeypatch):
    monkeypatch.setattr(profiling, "RETRY_S", 0.0)
    with caplog.at_level(logging.WARNING):
        at = f"127.0.0.1:{free_port()}"
        thread = profiled(f"http://{at}")
        poll_until(lambda: thread._run and thread._run._not_before, "the first attempt")
        first = thread._run._not_before[at]
        poll_until(lambda: thread._run._not_before[at] > first, "another attempt")

    (line,) = [r.getMessage() for r in caplog.records if r.name == "swarmscope.shipper.profiling"]
    assert line == f"Cannot take profiles of shop at {at}: [Errno 111] Connection refused"


def test_a_run_that_is_led_elsewhere_is_left_to_others(profiled, running, tmp_path):
    for path in tmp_path.glob("*.journal"):
        path.unlink()

    thread = profiled(f"http://127.0.0.1:{free_port()}")

    assert not thread._closed.wait(1)
    assert thread._run is None
