"""From journal to database exactly once, by however many shippers."""

from __future__ import annotations

import random
from unittest.mock import Mock

import pytest
from support.journals import RUN, START, STARTED, WORKER, Process, sample, ship_all

from swarmscope.journal.records import End, Participant, RunStopped, WorkerStarted, WorkerStopped
from swarmscope.shipper.process import Shipper
from swarmscope.shipper.reading import JournalReader


def test_a_finished_journal_is_deleted(tmp_path, shipper, query):
    """Once its end is in the database the file goes, and all windows are closed."""
    process = Process(tmp_path)
    process.write(STARTED, Participant(RUN, WORKER), WorkerStarted(RUN, WORKER, START))
    process.samples(*(sample(n) for n in range(300)))
    ship_all(shipper)
    assert list(tmp_path.glob("*.journal"))
    process.write(WorkerStopped(RUN, WORKER, START + 3), RunStopped(RUN, "plan", START + 3), End())
    process.writer.close()
    ship_all(shipper)
    assert not list(tmp_path.glob("*.journal"))
    assert query("SELECT count(*) FROM histogram_open") == [(0,)]
    assert query("SELECT position, finished FROM journal") == [(process.writer.position, True)]
    assert query("SELECT status, complete, target_users FROM run") == [("finished", True, 3)]
    assert query("SELECT requests, description, changeset_guid FROM testrun") == [
        (300, "a \ufffd description, --token ***", "v" * 100)
    ]


def test_segments_are_followed_and_deleted(tmp_path, shipper, query, counted):
    """A journal of many segments arrives whole, and what is delivered frees its disk space."""
    process = Process(tmp_path, segment_bytes=20_000)
    for begin in range(0, 2000, 100):
        process.samples(*(sample(n) for n in range(begin, begin + 100)))
        if begin % 300 == 0:
            ship_all(shipper)
            assert len(list(tmp_path.glob("*.journal"))) == 1
    ship_all(shipper)
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(2000, 2000)]
    assert counted(10) == 2000
    process.writer.close()


def test_a_new_shipper_goes_on_where_the_last_one_was(tmp_path, runs_database, query, counted):
    """Shippers that are dropped after every batch lose nothing, double nothing, blur nothing."""
    process = Process(tmp_path)
    for begin in range(0, 1000, 50):
        process.samples(*(sample(n, 1 + n / 10) for n in range(begin, begin + 50)))
        shipper = Shipper(tmp_path, runs_database)
        ship_all(shipper)
        shipper.disconnect()
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(1000, 1000)]
    assert [counted(r) for r in (1, 10, 60)] == [1000] * 3
    assert query("SELECT samples FROM run_worker") == [(1000,)]


def test_a_shipper_killed_before_it_deletes(tmp_path, runs_database, query, monkeypatch):
    """Segments that were delivered, but not deleted any more, are not delivered again."""
    process = Process(tmp_path, segment_bytes=1_000)
    for begin in range(0, 200, 50):  # a segment each
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
    process.samples(sample(200), sample(201))
    killed = Shipper(tmp_path, runs_database)
    with monkeypatch.context() as patch:
        patch.setattr(JournalReader, "delete", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            killed.round()
    assert query("SELECT count(*) FROM request") == [(202,)]  # the transaction was whole
    assert len(list(tmp_path.glob("*.journal"))) == 5
    process.samples(sample(202))
    successor = Shipper(tmp_path, runs_database)
    ship_all(successor)
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(203, 203)]
    assert len(list(tmp_path.glob("*.journal"))) == 1
    process.writer.close()
    for shipper in (killed, successor):
        shipper.disconnect()


def test_two_shippers_do_no_harm(tmp_path, runs_database, query, counted):
    """Two that take turns on one journal, without knowing of each other, deliver it once."""
    process = Process(tmp_path)
    pair = [Shipper(tmp_path, runs_database), Shipper(tmp_path, runs_database)]
    dice = random.Random(7)
    for begin in range(0, 1000, 50):
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
        dice.choice(pair).round()
    process.write(End())
    process.writer.close()
    for _ in range(2):
        for shipper in pair:
            ship_all(shipper)
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(1000, 1000)]
    assert [counted(r) for r in (1, 10, 60)] == [1000] * 3
    assert not list(tmp_path.glob("*.journal"))
    for shipper in pair:
        shipper.disconnect()
