"""What lies among the journals and is none, or cannot be read: one line each, and no more."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from support import rolling_writer

from swarmscope.journal.format import Header
from swarmscope.journal.records import Samples, run_id
from swarmscope.journal.segments import segments
from swarmscope.journal.writer import Writer
from swarmscope.shipper.process import Shipper

START = 1_700_000_000.0
NOBODY = 65534


def write(directory: Path, worker: str = "worker", pid: int = 17) -> Path:
    """Write a journal of one sample, as a process that has ended; return its file."""
    header = Header(uuid4().hex, 0, 0, worker, "host", pid, False)
    writer = Writer(directory, header)
    block = Samples(run_id(START), "plan", 0.0, [rolling_writer.sample(START, 1)])
    writer.append(msgspec.msgpack.encode(block))
    writer.close()
    return segments(directory)[header.journal][0].path


def stored(shipper: Shipper) -> int:
    """Deliver what there is; return how many samples are in the database."""
    for _ in range(3):
        while shipper.round():
            pass
    ((count,),) = shipper._connection.execute("SELECT count(*) FROM request").fetchall()
    return int(count)


def make_fifo(path: Path) -> None:
    """Make a FIFO that nobody writes to: to open it waits for ever."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """Make a socket."""
    there = os.getcwd()
    os.chdir(path.parent)  # a socket's path may be short only
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(there)


def make_link(path: Path) -> None:
    """Make a link to nothing."""
    path.symlink_to("nowhere")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [make_fifo, make_socket, Path.mkdir, make_link])
@pytest.mark.parametrize("named", ["x", "like a later segment"])
def test_what_is_no_file_is_passed_over(tmp_path, shipper, caplog, make, named):
    """It is left, told in one line, and the journals beside it are delivered."""
    journal = write(tmp_path)
    later = journal.with_name(journal.name.replace("00000000", "00000001"))
    path = later if named != "x" else tmp_path / "x.00000000.journal"
    make(path)
    assert stored(shipper) == 1
    assert caplog.text.count(f"{path} is not a file") == 1
    assert path in tmp_path.iterdir()
    assert not journal.exists()
    assert not shipper.any_alive()
    assert shipper.is_empty()


@contextmanager
def nobody() -> Iterator[None]:
    """Be no superuser, who may read everything, for a while."""
    user = os.geteuid()
    os.seteuid(user or NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_is_passed_over(runs_database, caplog):
    """It is left as it is until somebody allows it; the other journals are delivered."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        first, second = (Shipper(directory, runs_database) for _ in range(2))
        for shipper in (first, second):
            assert stored(shipper) == 0  # connected, while the password may be read
        with nobody():
            locked, _ = write(directory), write(directory)
            locked.chmod(0)
            assert stored(first) == 1
            assert caplog.text.count(f"{locked.name}'; left unchanged") == 1
            assert list(directory.iterdir()) == [locked]
            locked.chmod(0o600)
            assert stored(second) == 2
        for shipper in (first, second):
            shipper.disconnect()


@pytest.mark.parametrize(("pid", "expected"), [(2**40, 2**31 - 1), (-(2**40), 1 - 2**31)])
def test_a_process_id_that_no_database_holds(tmp_path, shipper, pid, expected):
    """It is stored as near as may be: the journal is delivered, and so are the others."""
    write(tmp_path, "odd", pid)
    write(tmp_path, "plain")
    assert stored(shipper) == 2
    found = shipper._connection.execute("SELECT pid FROM journal WHERE worker = 'odd'").fetchall()
    assert found == [(expected,)]


def test_a_position_that_no_database_holds(tmp_path, shipper):
    """A header that cannot be true is damage: the file is kept, the other one delivered."""
    write(tmp_path)
    header = Header(uuid4().hex, 0, 2**63, "odd", "host", 17, False)
    Writer(tmp_path, header).close()
    assert stored(shipper) == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"{header.journal}.00000000.damaged"]


@pytest.mark.timeout(60)
def test_a_reserve_that_is_no_file_is_left_alone(tmp_path, shipper):
    """To open a pipe would take for ever; what is a dead process's file is removed."""
    make_fifo(tmp_path / "pipe.reserve")
    dead = tmp_path / "dead.reserve"
    dead.touch()
    os.utime(dead, (0, 0))
    shipper.round()
    assert [path.name for path in tmp_path.glob("*.reserve")] == ["pipe.reserve"]
