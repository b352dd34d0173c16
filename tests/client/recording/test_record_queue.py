"""Records while the journal cannot be written: what is needed waits, the rest is counted."""

from __future__ import annotations

import resource
from collections import Counter

import psycopg
from support.listeners import RUN, fire, recorded, ship

from swarmscope.journal.records import (
    Dropped,
    Event,
    RunStopped,
    UserCount,
)


def test_a_run_is_told_however_long_the_disk_is_full(make, tmp_path, monkeypatch):
    """What only tells of a moment gives way, and is counted; beginnings and ends are kept."""
    monkeypatch.setattr("swarmscope.client.recording.record_queue.MOST_WAITING_RECORDS", 10)
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


def test_a_disk_that_stays_full_hides_no_count(make, runs_database):
    """The last records find the room that was kept: rows and dropped add up, the run ends."""
    listener = make()
    for _ in range(100):
        fire(listener)
    listener.flush()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (listener.spool.position + 50, limit[1]))
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
    assert list(listener.spool.directory.iterdir()) == []
