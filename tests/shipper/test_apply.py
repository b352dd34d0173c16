"""How runs and workers end in the database: in order, lost, or aborted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from support.journals import RUN, START, STARTED, WORKER, Process, sample, ship_all

from swarmscope.journal.records import (
    Dropped,
    GeneratorProfile,
    Participant,
    RunStopped,
    WorkerBack,
    WorkerLost,
    WorkerStarted,
    WorkerStopped,
)
from swarmscope.runs.profiles import model, storage
from swarmscope.runs.profiles.model import CPU, Frame, Profile


@pytest.mark.parametrize("torn", [b"", b"\xff\x00\x00", b"\x10\x00\x00\x00\x00\x00\x00\x00half"])
def test_a_killed_leaders_run_is_aborted(tmp_path, shipper, query, torn):
    """A journal whose writer died is delivered up to its torn tail; its run is closed."""
    process = Process(tmp_path)
    process.write(STARTED, Participant(RUN, WORKER), WorkerStarted(RUN, WORKER, START))
    process.samples(sample(0), sample(1))
    process.writer.close()
    with next(tmp_path.glob("*.journal")).open("ab") as file:
        file.write(torn)
    ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert query("SELECT status, complete, lost_workers FROM run") == [("aborted", False, 1)]
    assert query("SELECT kind FROM events ORDER BY time, kind") == [
        ("started",),
        ("stopped",),
        ("worker_lost",),
    ]
    assert not list(tmp_path.glob("*.journal"))


def test_a_worker_that_the_leader_lost(tmp_path, shipper, query):
    """A lost worker keeps the run incomplete; what a worker says itself counts more."""
    leader = Process(tmp_path, "leader")
    workers = ("gone", "back", "told")
    leader.write(STARTED, *(Participant(RUN, worker) for worker in workers))
    leader.write(*(WorkerLost(RUN, worker, START + 1, "missing") for worker in workers))
    leader.write(WorkerBack(RUN, "back", START + 2), RunStopped(RUN, "plan", START + 3))
    ship_all(shipper)
    worker = Process(tmp_path, "told")
    worker.write(WorkerStarted(RUN, "told", START), WorkerStopped(RUN, "told", START + 3))
    ship_all(shipper)
    found = query("SELECT worker, outcome, stopped IS NULL FROM run_worker ORDER BY worker")
    assert found == [("back", None, True), ("gone", "lost", True), ("told", "stopped", False)]
    assert query("SELECT status, complete, lost_workers FROM run") == [("finished", False, 1)]


def test_what_is_lost_is_counted_at_the_end(tmp_path, shipper, query):
    """Samples that a worker had and nobody could read: rows and dropped ones add up to all."""
    process = Process(tmp_path)
    process.write(WorkerStarted(RUN, WORKER, START), Dropped(RUN, WORKER, START, 2, "no room"))
    process.samples(*(sample(n) for n in range(5)))
    process.samples(*(sample(n) for n in range(5, 8)))
    process.write(WorkerStopped(RUN, WORKER, START + 1, 12))
    process.writer.close()
    ship_all(shipper)
    assert query("SELECT samples, dropped, outcome FROM run_worker") == [(8, 4, "stopped")]
    texts = query("SELECT text FROM events WHERE kind = 'samples_dropped' ORDER BY 1")
    assert texts == [
        (f"2 samples of {WORKER} were dropped: no room",),
        (f"2 samples of {WORKER} were lost with their journal",),
    ]


def stacks(number, name="visit"):
    """Return *number* stacks, each of its own line and with a millisecond more than the last."""
    frames = [Frame(name, "locustfile.py", line + 1, True) for line in range(number)]
    sums = {("", (frame,)): 1000 * frame.line for frame in frames}
    return model.encode(Profile(CPU, 15.0, sums))


def test_the_generators_profile_is_stored_once(tmp_path, shipper, query, runs_database):
    """Also where a journal repeats it; of more than 500 stacks those with most time."""
    process = Process(tmp_path)
    record = GeneratorProfile(RUN, WORKER, START + 5, 15.0, stacks(600))
    process.write(STARTED, WorkerStarted(RUN, WORKER, START), record, record)
    process.writer.close()
    ship_all(shipper)

    since = datetime.fromtimestamp(START + 5, UTC)
    found = query("SELECT job, kind, since, until, seconds, level FROM profile")
    assert found == [("locust", CPU, since, since + timedelta(seconds=15), 15.0, None)]
    with psycopg.connect(runs_database) as connection:
        ((_, profile),) = storage.profiles(connection, datetime.fromisoformat(RUN))
    assert len(profile.stacks) == model.MAX_STACKS
    assert profile.total_us == 1000 * sum(range(1, 601))
    assert profile.stacks["", (Frame("visit", "locustfile.py", 600, True),)] == 600_000
    assert profile.stacks["", (model.OTHER,)] == 1000 * sum(range(1, 102))


def test_names_in_a_generators_profile_are_bounded(tmp_path, shipper, runs_database):
    process = Process(tmp_path)
    process.write(STARTED, GeneratorProfile(RUN, WORKER, START, 1.0, stacks(1, "\ud800\0" * 9999)))
    process.writer.close()
    ship_all(shipper)

    with psycopg.connect(runs_database) as connection:
        ((_, profile),) = storage.profiles(connection, datetime.fromisoformat(RUN))
    (((_, (frame,)), _),) = profile.stacks.items()
    assert len(frame.function) == model.MAX_NAME


@pytest.mark.parametrize(
    "fields",
    [
        (START, 15.0, b"no profile"),
        (START, float("nan"), stacks(1)),
        (START, 1e9, stacks(1)),
        (float("inf"), 15.0, stacks(1)),
    ],
)
def test_a_generators_profile_that_cannot_be_is_set_aside(tmp_path, shipper, query, fields):
    """All else in its journal is stored."""
    process = Process(tmp_path)
    process.write(STARTED, GeneratorProfile(RUN, WORKER, *fields))
    process.samples(sample(0))
    process.writer.close()
    ship_all(shipper)

    assert query("SELECT count(*) FROM profile") == [(0,)]
    assert query("SELECT count(*) FROM request") == [(1,)]
