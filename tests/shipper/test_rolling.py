"""A journal that rolls while it is delivered: its writer lives, and nothing of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from support import rolling_writer

from swarmscope.journal.format import Header
from swarmscope.journal.records import Continued, Samples, run_id
from swarmscope.journal.segments import is_alive, segments
from swarmscope.journal.writer import Writer
from swarmscope.shipper.process import Shipper

START = 1_700_000_000.0
HEADER = Header(uuid4().hex, 0, 0, "worker", "host", 17, False)
FAREWELL = msgspec.msgpack.encode(Continued())
WRITER = Path(rolling_writer.__file__)
MINUTE = pytest.param(60, marks=[pytest.mark.proof, pytest.mark.timeout(400)])


@pytest.mark.parametrize("segment_bytes", [1, 20_000, 1 << 20])
@pytest.mark.parametrize("seconds", [0.15, MINUTE])
def test_a_journal_that_rolls_is_delivered_whole(tmp_path, runs_database, seconds, segment_bytes):
    """However fast segments follow each other, their writer is alive and all is stored once."""
    command = [sys.executable, str(WRITER), str(tmp_path), str(seconds), str(segment_bytes)]
    shipper = Shipper(tmp_path, runs_database)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        while writer.poll() is None:
            shipper.round()
        assert writer.stdout
        written = int(writer.stdout.read())
    while shipper.round():
        pass
    shipper.disconnect()
    with psycopg.connect(runs_database) as connection:
        (found,) = connection.execute(
            "SELECT count(*), count(DISTINCT trace_id) FROM request"
        ).fetchall()
        (worker,) = connection.execute("SELECT samples, outcome FROM run_worker").fetchall()
        runs = connection.execute("SELECT status, complete FROM run").fetchall()
    print(f"\n{seconds} s, segments of {segment_bytes} bytes: {written} written, {found} stored")
    assert found == (written, written)
    assert worker == (written, "stopped")
    assert runs == [("finished", True)]
    assert not list(tmp_path.glob("*.journal"))


def samples(*numbers: int) -> bytes:
    """Return a block of samples."""
    rows = [rolling_writer.sample(START, number) for number in numbers]
    return msgspec.msgpack.encode(Samples(run_id(START), "plan", 0.0, rows))


def stored(shipper: Shipper) -> list[int]:
    """Deliver what there is; return the numbers of all samples in the database."""
    while shipper.round():
        pass
    found = shipper._connection.execute("SELECT trace_id FROM request ORDER BY 1").fetchall()
    return [int(trace, 16) for (trace,) in found]


def test_a_living_writer_is_found_behind_an_old_list(tmp_path):
    """Whoever listed segments before the journal rolled still finds that its writer lives."""
    writer = Writer(tmp_path, HEADER, segment_bytes=1)
    (listed,) = segments(tmp_path)[HEADER.journal]
    for _ in range(3):
        writer.append(samples(1))
        writer.roll(FAREWELL)
    assert is_alive(listed)
    listed.path.unlink()
    assert is_alive(listed)
    writer.close()
    assert not is_alive(listed)


def test_what_a_finished_journal_holds_is_read_before_it_is_deleted(tmp_path, shipper):
    """A writer that was taken for dead, wrongly, goes on: all that it writes is stored."""
    writer = Writer(tmp_path, HEADER)
    writer.append(samples(1))
    writer.close()
    assert stored(shipper) == [1]
    later = Writer(tmp_path, replace(HEADER, segment=1, base=writer.position))
    later.append(samples(2))
    assert stored(shipper) == [1, 2]
    later.append(samples(3))
    assert stored(shipper) == [1, 2, 3]
    later.close()
    assert stored(shipper) == [1, 2, 3]
    assert not list(tmp_path.glob("*.journal"))


def test_a_segment_without_a_header_ends_no_journal_that_goes_on(tmp_path, shipper):
    """Neither an empty segment nor a damaged one costs those after it."""
    writer = Writer(tmp_path, HEADER, segment_bytes=1)
    for number in range(4):
        writer.append(samples(number))
        writer.roll(FAREWELL)
    first, second, *_ = sorted(tmp_path.glob("*.journal"))
    first.write_bytes(b"?")
    second.write_bytes(b"")
    os.utime(second, (0, 0))
    assert stored(shipper) == [2, 3]
    ended = shipper._connection.execute("SELECT finished FROM journal").fetchall()
    assert ended == [(False,)]
    writer.close()


def test_missing_segments_are_told(tmp_path, shipper):
    """Somebody removed one of a journal's segments: the rest is stored, and the run says so."""
    writer = Writer(tmp_path, HEADER, segment_bytes=1)
    for number in range(3):
        writer.append(samples(number))
        writer.roll(FAREWELL)
    sorted(tmp_path.glob("*.journal"))[1].unlink()
    assert stored(shipper) == [0, 2]
    events = shipper._connection.execute("SELECT run_text(run_id), kind, text FROM events")
    ((run, kind, text),) = events.fetchall()
    assert (run, kind) == (run_id(START), "samples_dropped")
    assert text.startswith("samples of worker are lost")
    writer.close()
