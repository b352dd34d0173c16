"""The listener: whatever it is told, nothing of it comes back to Locust as an exception."""

from __future__ import annotations

import copy
import logging
import os
import resource
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import gevent
import msgspec
import psycopg
import pytest
from locust.env import Environment
from locust.event import EventHook
from locust.exception import CatchResponseError

from swarmscope.client.frozen_options import Options
from swarmscope.client.recording.listener import MOST_PENDING, Listener
from swarmscope.journal.format import MAX_PAYLOAD_BYTES, Header
from swarmscope.journal.reader import Reader
from swarmscope.journal.records import (
    AnyRecord,
    Dropped,
    Event,
    RunStopped,
    Samples,
    UserCount,
    WorkerStarted,
    run_id,
)
from swarmscope.journal.segments import segments
from swarmscope.journal.text_limits import MAX_SAMPLE_BYTES, MAX_TEXT, MAX_URL
from swarmscope.journal.writer import Reserve
from swarmscope.redaction import stored_name
from swarmscope.shipper.process import Shipper

RUN = run_id(1_700_000_000.0)


def options(directory: Path, **more: object) -> Options:
    """Return options with a journal in *directory*."""
    defaults = {
        "plan": "plan",
        "grafana_url": "http://grafana/d/swarm",
        "test_env": "",
        "test_version": "",
        "description": "",
        "iterations_per_second": 0.0,
        "connection": {},
        "journal_directory": directory,
        "journal_limit_bytes": 1 << 30,
        "drain_seconds": 1.0,
    }
    return Options(**{**defaults, **more})


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a listener, with a run that is on."""
    made = []

    def make(directory: Path = tmp_path / "journals", **more: object) -> Listener:
        header = Header(uuid4().hex, 0, 0, "worker", "host", 17, False)
        listener = Listener(options(directory, **more), header)
        listener.begin(RUN, "plan", works=True)
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener._flusher.kill()


def fire(listener: Listener, **more: object) -> None:
    """Fire a request event as Locust does; an exception in the listener fails the test."""
    defaults = {
        "request_type": "GET",
        "name": "/a",
        "response_time": 12.5,
        "response_length": 17,
        "exception": None,
        "context": {},
        "response": None,
        "start_time": 1_700_000_001.0,
        "url": "http://host/a",
    }
    listener.on_request(**{**defaults, **more})


def recorded(listener: Listener) -> list[object]:
    """Return the records of a listener's journal."""
    listener.flush()
    found = []
    for files in segments(listener._options.journal_directory).values():
        for segment in files:
            with Reader(segment.path) as reader:
                frames = list(reader.frames(reader.header_end))
            found += [msgspec.msgpack.decode(frame.payload, type=AnyRecord) for frame in frames]
    return found


def rows(listener: Listener) -> list[tuple]:
    """Return the samples in a listener's journal."""
    return [row for r in recorded(listener) if isinstance(r, Samples) for row in r.rows]


class Awkward:
    """Raises whatever it is asked."""

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    @property
    def headers(self) -> object:
        raise RuntimeError("read before it arrived")

    @property
    def trace_id(self) -> object:
        raise RuntimeError("none yet")


class Unspeakable(Exception):
    """Has no string form."""

    def __str__(self) -> str:
        raise AttributeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("exception", "text"),
    [
        (None, None),
        (ValueError("bad"), "ValueError('bad')"),
        (CatchResponseError("No data"), "No data"),
        (Unspeakable(), "<Unspeakable without a string form>"),
        (ValueError("x" * 100_000), "ValueError('" + "x" * 3988),
        ("a string", "'a string'"),
    ],
)
def test_failures_have_a_text(make, exception, text):
    """Whatever the exception is, there is a bounded text for it."""
    listener = make()
    fire(listener, exception=exception)
    assert [row[7] for row in rows(listener)] == [text]


def test_a_falsy_exception_is_none_as_in_locust(make):
    """Locust counts a failure where the exception is truthy, and so do the samples."""
    listener = make()
    fire(listener, exception="")
    fire(listener, exception=False)
    assert [row[7] for row in rows(listener)] == [None, None]


@pytest.mark.parametrize(
    ("context", "json"),
    [
        ({}, None),
        (None, None),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ({"o": object()}, '{"o":"<object>"}'),
        ({("a", 1): 2}, '{"<tuple>":2}'),
        ({"long": "x" * 5000}, '{"error": "this context is too long"}'),
        ({"surrogate": "\ud800"}, '{"error": "this context cannot be written as JSON"}'),
    ],
)
def test_contexts_become_json(make, context, json):
    """A context is copied as JSON at once, or replaced by the reason why not."""
    listener = make()
    fire(listener, context=context)
    assert [row[8] for row in rows(listener)] == [json]


def test_a_context_that_contains_itself(make):
    """A cycle is not followed."""
    listener = make()
    context: dict[str, object] = {}
    context["me"] = context
    fire(listener, context=context)
    assert "cannot be written" in rows(listener)[0][8]


@pytest.mark.parametrize(
    "more",
    [
        {"response_length": None},
        {"response_time": None},
        {"start_time": None},
        {"url": None, "name": "\ud800 lone surrogate"},
        {"url": "\ud800"},
        {"name": object()},
        {"response_length": 2**70},
        {"response": SimpleNamespace(headers=["not", "a", "mapping"])},
        {"response": SimpleNamespace(headers={"server-timing": "app;dur=1"})},
        {"response": SimpleNamespace(headers=None, trace_id=object())},
        {"unexpected": 1},
        {"response": Awkward()},
        {"context": Awkward()},
        {"exception": Awkward()},
        {"response_time": "12.5", "start_time": None},
    ],
    ids=lambda more: "-".join(more),  # an id must be the same in each process
)
def test_odd_requests_are_recorded(make, more):
    """One odd request is journalled, and costs the ones beside it nothing."""
    listener = make()
    fire(listener)
    fire(listener, **more)
    fire(listener)
    listener.flush()
    (path,) = listener._options.journal_directory.glob("*.journal")
    with Reader(path) as reader:
        frames = list(reader.frames(reader.header_end))
    blocks = [msgspec.msgpack.decode(frame.payload) for frame in frames]
    assert [len(block[4]) for block in blocks if block[0] == "samples"] == [3]


LONG = 100_000


@pytest.mark.parametrize(
    "more",
    [
        {"response": SimpleNamespace(headers={"server-timing": "x;dur=1, " * (LONG // 9)})},
        {"url": "http://me:hush@host/" + "x" * LONG},
        {"name": "/" + "x" * LONG},
        {"request_type": "G" * LONG},
        {"response": SimpleNamespace(headers=None, trace_id=b"x" * LONG)},
        {"response_time": "x" * LONG},
        {"response_length": ["x"] * LONG},
    ],
    ids=lambda more: "-".join(more),
)
def test_long_fields_take_little_room(make, more):
    """However long a field of a request is, its samples take a few kilobytes each at most."""
    listener = make()
    before = listener.position
    for _ in range(3):
        for _ in range(10):
            fire(listener, **copy.deepcopy(more))  # a response tells its parts once
        listener.flush()
    assert listener.position - before < 30 * MAX_SAMPLE_BYTES
    assert len(samples_of(listener)) == 30


def samples_of(listener: Listener) -> list[list[object]]:
    """Return the samples in a listener's journal, whatever the types of their fields."""
    blocks = [msgspec.msgpack.decode(payload) for payload in payloads(listener)]
    return [row for block in blocks if block[0] == "samples" for row in block[4]]


def payloads(listener: Listener) -> list[bytes]:
    """Return what stands in a listener's first segment."""
    (path,) = listener._options.journal_directory.glob("*.journal")
    with Reader(path) as reader:
        return [frame.payload for frame in reader.frames(reader.header_end)]


def test_long_fields_are_stored_as_ever(make, runs_database):
    """What is shortened on the way is stored as what is not: the names stay apart."""
    listener = make()
    timing = "queue;dur=1, app;dur=2, " + "x;dur=3, " * LONG
    name = "/x?token=hush&" + "x" * LONG
    for last in "ab":
        fire(
            listener,
            name=name + last,
            url="http://me:hush@host/" + "y" * LONG,
            response=SimpleNamespace(headers={"server-timing": timing}),
        )
    listener.close()
    shipper = Shipper(listener._options.journal_directory, runs_database)
    while shipper.round():
        pass
    found = shipper._connection.execute(
        "SELECT name, url, queue_ms, app_ms FROM request ORDER BY name"
    ).fetchall()
    shipper.disconnect()
    url = "http://host/" + "y" * (MAX_URL - 12)
    assert found == [(n, url, 1.0, 2.0) for n in sorted(stored_name(name + x) for x in "ab")]


def test_a_block_is_no_longer_than_a_frame_may_be(make):
    """Samples whose texts are as long as they may be are written in several frames."""
    listener = make()
    for number in range(3000):
        fire(listener, exception=ValueError("x" * LONG), response_length=number)
    listener.flush()
    found = payloads(listener)
    assert max(map(len, found)) <= MAX_PAYLOAD_BYTES
    assert [row[5] for row in samples_of(listener)] == list(range(3000))
    assert len([payload for payload in found if payload[1:].startswith(b"\xa7samples")]) > 1


def test_a_long_record_is_written_with_the_beginning_of_its_text(make):
    """Half a JSON is none; the rest of the record stays as it was."""
    listener = make()
    listener.record(Event(RUN, "note", 1.5, "y" * 2_000_000, '"' + "z" * 2_000_000 + '"'))
    (event,) = [record for record in recorded(listener) if isinstance(record, Event)]
    assert event == Event(RUN, "note", 1.5, "y" * MAX_TEXT, None)


def test_samples_reach_the_file_within_a_tenth_of_a_second(make):
    """In an idle loop a sample is in the operating system's hands 100 ms after its event."""
    listener = make()
    before = listener.position
    fire(listener)
    gevent.sleep(0.1)
    assert listener.position > before


def test_memory_is_bounded(make):
    """A loop that never yields does not gather samples for ever."""
    listener = make()
    for _ in range(MOST_PENDING * 2 + 1):
        fire(listener)
    assert len(listener._rows) == 1
    assert len(rows(listener)) == MOST_PENDING * 2 + 1


def test_samples_outside_any_run_are_ignored(make):
    """What is fired before the first run belongs to none, and is no error."""
    listener = make()
    listener._run = ""
    fire(listener)
    assert rows(listener) == []


def test_a_disk_that_cannot_be_written_costs_samples_only(make, tmp_path, caplog):
    """One line says so; what is dropped is counted; once there is room again, it is told."""
    (tmp_path / "home").write_text("in the way of a directory")
    listener = make(tmp_path / "home" / "journals")
    for _ in range(3):
        fire(listener)
        listener.flush()
    assert listener.dropped == 3
    errors = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(errors) == 1
    assert "Not a directory" in errors[0].message

    (tmp_path / "home").unlink()
    fire(listener)
    listener.finish()
    found = recorded(listener)
    assert isinstance(found[0], WorkerStarted)
    dropped = [record for record in found if isinstance(record, Dropped)]
    assert [(record.count, record.reason) for record in dropped] == [(3, "Not a directory")]
    assert len(rows(listener)) == 1
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


def test_a_run_is_told_however_long_the_disk_is_full(make, tmp_path, monkeypatch):
    """What only tells of a moment gives way, and is counted; beginnings and ends are kept."""
    monkeypatch.setattr("swarmscope.client.recording.listener.MOST_WAITING_RECORDS", 10)
    (tmp_path / "home").write_text("in the way of a directory")
    listener = make(tmp_path / "home" / "journals")
    for second in range(100):
        listener.record(UserCount(RUN, "plan", float(second), 1, 1))
    fire(listener)
    listener.finish()
    listener.record(RunStopped(RUN, "plan", 100.0))

    (tmp_path / "home").unlink()
    found = recorded(listener)
    kinds = Counter(type(record).__name__ for record in found)
    waiting = 10 - kinds["ClockOffset"] - kinds["WorkerStarted"]
    assert kinds["WorkerStarted"] == kinds["WorkerStopped"] == kinds["RunStopped"] == 1
    assert kinds["UserCount"] == waiting > 5
    assert [record.count for record in found if isinstance(record, Dropped)] == [1]
    (event,) = [record for record in found if isinstance(record, Event)]
    assert event.kind == "samples_dropped"
    assert event.text.startswith(f"{100 - waiting} user counts and notes of worker were dropped")


def ship(listener: Listener, database: str) -> None:
    """Deliver all that the listener has written."""
    shipper = Shipper(listener._options.journal_directory, database)
    while shipper.round():
        pass
    shipper.disconnect()


@pytest.mark.parametrize("away", [shutil.rmtree, lambda path: path.rename(path.parent / "moved")])
def test_a_journal_that_is_removed_is_begun_again(make, runs_database, caplog, away):
    """What was not delivered is counted as lost; all that follows is stored, as is a later run."""
    listener = make()
    directory = listener._options.journal_directory
    for count in (5, 3, 4):
        for _ in range(count):
            fire(listener)
        listener.flush()
        if count == 5:
            ship(listener, runs_database)
        if count == 3:
            away(directory)
    listener.finish()
    later = run_id(1_700_000_100.0)
    listener.begin(later, "plan", works=True)
    fire(listener)
    listener.finish()
    listener.close()
    ship(listener, runs_database)
    with psycopg.connect(runs_database) as connection:
        workers = connection.execute(
            "SELECT run_text(run_id), samples, dropped, outcome FROM run_worker ORDER BY 1"
        ).fetchall()
        shares = connection.execute(
            "SELECT worker, requests FROM by_worker(%s, %s, now())", (RUN, RUN)
        ).fetchall()
        events = connection.execute("SELECT kind, text FROM events ORDER BY text").fetchall()
    assert workers == [(RUN, 9, 3, "stopped"), (later, 1, 0, "stopped")]
    assert shares == [("worker", 9)]
    assert events == [
        ("samples_dropped", "3 samples of worker were lost with their journal"),
        (
            "samples_dropped",
            "the journal of worker was removed: samples not yet delivered are lost",
        ),
    ]
    assert listener.removed == 1
    assert caplog.text.count("was removed while in use") == 1
    assert list(directory.iterdir()) == []


def test_a_disk_that_stays_full_hides_no_count(make, runs_database):
    """The last records find the room that was kept: rows and dropped add up, the run ends."""
    listener = make()
    for _ in range(100):
        fire(listener)
    listener.flush()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (listener.position + 50, limit[1]))
    try:
        for second in range(50):
            fire(listener)
            listener.record(UserCount(RUN, "plan", float(second), 1, 1))
        listener.finish()
        listener.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert listener.dropped == 50
    ship(listener, runs_database)
    with psycopg.connect(runs_database) as connection:
        (worker,) = connection.execute("SELECT samples, dropped, outcome FROM run_worker")
        (journal,) = connection.execute("SELECT finished FROM journal")
        texts = connection.execute("SELECT text FROM events ORDER BY 1").fetchall()
    assert worker == (100, 50, "stopped")
    assert journal == (True,)
    assert [text.partition(" of worker ")[0] for (text,) in texts] == [
        "50 samples",
        "50 user counts and notes",
    ]
    assert list(listener._options.journal_directory.iterdir()) == []


def test_room_that_a_killed_process_kept_is_given_back(tmp_path, runs_database):
    """A shipper deletes it once nobody holds it; that of a living process stays."""
    living, killed = Reserve(tmp_path, "living"), Reserve(tmp_path, "killed")
    os.close(killed._file)
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    shipper = Shipper(tmp_path, runs_database)
    shipper.round()
    shipper.disconnect()
    assert [path.stem for path in tmp_path.iterdir()] == ["living"]
    living.release()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_at_its_limit_drops_and_tells(make, runs_database, caplog):
    """Past its limit a journal takes no samples; once shipped it does; the run knows how many."""
    listener = make(journal_limit_bytes=10_000)
    for _ in range(300):
        fire(listener)
    listener.flush()
    listener._checked_at = 0.0
    for _ in range(50):
        fire(listener)
    listener.flush()
    assert listener.dropped == 50
    listener.finish()
    listener.close()
    shipper = Shipper(listener._options.journal_directory, runs_database)
    while shipper.round():
        pass
    shipper.disconnect()
    with psycopg.connect(runs_database) as connection:
        (worker,) = connection.execute("SELECT samples, dropped FROM run_worker").fetchall()
        (event,) = connection.execute("SELECT kind, text FROM events").fetchall()
    assert worker == (300, 50)
    assert event[0] == "samples_dropped"
    assert event[1].startswith("50 samples of worker were dropped")
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


def test_a_shipped_segment_makes_room(make, runs_database):
    """The limit is on what occupies the disk, not on what was ever written."""
    listener = make(journal_limit_bytes=100_000)
    shipper = Shipper(listener._options.journal_directory, runs_database)
    for _ in range(40):
        for _ in range(200):
            fire(listener)
        listener._checked_at = 0.0
        listener.flush()
        while shipper.round():
            pass
    shipper.disconnect()
    assert listener.position > 3 * 100_000
    assert listener.dropped == 0


def test_without_the_option_nothing_is_recorded(monkeypatch, tmp_path):
    """No file, no process, no handler but those that judge the generator, or spare it."""
    from swarmscope.client import plugin

    monkeypatch.chdir(tmp_path)
    parsed = SimpleNamespace(timescale=False, metrics_port=0, swarm_report="")
    environment = Environment(parsed_options=parsed)
    environment.create_local_runner()
    hooks = {k: v for k, v in vars(environment.events).items() if isinstance(v, EventHook)}
    before = {handler for hook in hooks.values() for handler in hook._handlers}
    plugin.attach(environment)
    added = {handler for hook in hooks.values() for handler in hook._handlers} - before
    assert {handler.__module__ for handler in added} <= {
        "swarmscope.client.locust_patches",
        "swarmscope.client.health.monitor",
        "swarmscope.client.health.probe",
        "swarmscope.client.capacity.figures",
        "swarmscope.client.workload.missed",
        "swarmscope.client.workload.notes",
    }
    assert list(tmp_path.iterdir()) == []
