"""The journal at its limit, on a disk that cannot be written, and removed while in use."""

from __future__ import annotations

import logging
import os
import shutil

import psycopg
import pytest
from support.listeners import RUN, fire, recorded, rows, ship

from swarmscope.journal.records import (
    Dropped,
    WorkerStarted,
    run_id,
)
from swarmscope.journal.writer import Reserve
from swarmscope.shipper.process import Shipper


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


@pytest.mark.parametrize("away", [shutil.rmtree, lambda path: path.rename(path.parent / "moved")])
def test_a_journal_that_is_removed_is_begun_again(make, runs_database, caplog, away):
    """What was not delivered is counted as lost; all that follows is stored, as is a later run."""
    listener = make()
    directory = listener.spool.directory
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
    assert listener.spool.removed == 1
    assert caplog.text.count("was removed while in use") == 1
    assert list(directory.iterdir()) == []


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
    listener.spool._checked_at = 0.0
    for _ in range(50):
        fire(listener)
    listener.flush()
    assert listener.dropped == 50
    listener.finish()
    listener.close()
    shipper = Shipper(listener.spool.directory, runs_database)
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
    shipper = Shipper(listener.spool.directory, runs_database)
    for _ in range(40):
        for _ in range(200):
            fire(listener)
        listener.spool._checked_at = 0.0
        listener.flush()
        while shipper.round():
            pass
    shipper.disconnect()
    assert listener.spool.position > 3 * 100_000
    assert listener.dropped == 0
