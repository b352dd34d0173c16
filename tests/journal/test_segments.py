"""The journal's file format: what is written is read, whatever the file's end looks like."""

from __future__ import annotations

import errno
import os
import resource
from uuid import uuid4

import pytest

from swarmscope.journal.segments import (
    FRAME,
    Header,
    JournalError,
    Reader,
    Writer,
    frame,
    is_locked,
    segments,
)

HEADER = Header(uuid4().hex, 0, 0, "worker", "host", 17, False)


@pytest.fixture
def writer(tmp_path):
    writer = Writer(tmp_path, HEADER)
    yield writer
    writer.close()


def path_of(directory, number=0):
    """Return the path of a segment."""
    return segments(directory)[HEADER.journal][number].path


def read(path, offset=0):
    """Return the payloads of the whole frames of a segment."""
    with Reader(path) as reader:
        return [f.payload for f in reader.frames(max(offset, reader.header_end))]


def test_what_is_written_is_read(writer, tmp_path):
    """Frames come back whole and in order, from the start or from a position."""
    writer.append(b"one")
    middle = writer.position
    writer.append(b"two" * 1_000_000)
    assert read(path_of(tmp_path)) == [b"one", b"two" * 1_000_000]
    assert read(path_of(tmp_path), middle) == [b"two" * 1_000_000]
    with Reader(path_of(tmp_path)) as reader:
        assert (reader.header, reader.end()) == (HEADER, writer.position)


def test_nobody_else_may_read_a_journal(tmp_path):
    """A Locust without `swarmscope up` makes the home: it is as closed as its journals."""
    before = os.umask(0o022)
    try:
        Writer(tmp_path / "home/journals", HEADER).close()
    finally:
        os.umask(before)

    made = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert [oct(path.stat().st_mode & 0o777) for path in made] == ["0o700", "0o700", "0o600"]


def test_a_torn_tail_is_waited_for(writer, tmp_path):
    """At every byte of an unfinished frame the reader has what is before it, and no more."""
    writer.append(b"whole")
    end = writer.position
    path = path_of(tmp_path)
    torn = frame(b"unfinished")
    for length in range(len(torn)):
        with path.open("r+b") as file:
            file.truncate(end)
            file.seek(end)
            file.write(torn[:length])
        assert read(path) == [b"whole"]
    with path.open("ab") as file:
        file.write(torn[-1:])
    assert read(path) == [b"whole", b"unfinished"]


def test_zeros_at_the_end_are_a_torn_tail(writer, tmp_path):
    """A machine's crash may leave a file longer than what was written to it."""
    writer.append(b"whole")
    path = path_of(tmp_path)
    os.truncate(path, writer.position + 4096)
    assert read(path) == [b"whole"]


def test_damage_is_noticed(writer, tmp_path):
    """A frame whose content changed is an error, not a record."""
    writer.append(b"whole")
    writer.append(b"damaged")
    path = path_of(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"D")
    with Reader(path) as reader, pytest.raises(JournalError, match="checksum"):
        list(reader.frames(reader.header_end))


@pytest.mark.parametrize(
    "content", [b"", b"SWRM", b"SWRMJRN\x01", b"SWRMJRN\x01" + bytes(FRAME.size)]
)
def test_a_header_is_waited_for(tmp_path, content):
    """A segment whose writer has just begun is not an error of the file."""
    path = tmp_path / "x.00000000.journal"
    path.write_bytes(content)
    with pytest.raises(EOFError):
        Reader(path)


def test_a_newer_version_is_left_alone(tmp_path):
    """What a newer program wrote is not guessed at."""
    path = tmp_path / "x.00000000.journal"
    path.write_bytes(b"SWRMJRN\x02" + frame(b"?"))
    with pytest.raises(JournalError, match="version"):
        Reader(path)


def test_the_lock_tells_whether_the_writer_lives(tmp_path):
    """A segment is locked from its first byte until its writer closes it or dies."""
    writer = Writer(tmp_path, HEADER)
    assert is_locked(path_of(tmp_path))
    writer.close()
    assert not is_locked(path_of(tmp_path))


def test_a_long_journal_goes_on_in_segments(tmp_path):
    """Positions go on over segments, and the old segment says that there is a next one."""
    writer = Writer(tmp_path, HEADER, segment_bytes=1000)
    for number in range(30):
        writer.append(b"%d" % number * 100)
        writer.roll(b"farewell")
    found = [segment.path for segment in segments(tmp_path)[HEADER.journal]]
    payloads = [read(path) for path in found]
    assert len(found) > 3
    assert [p[-1] for p in payloads[:-1]] == [b"farewell"] * (len(found) - 1)
    kept = [p for part in payloads for p in part if p != b"farewell"]
    assert kept == [b"%d" % number * 100 for number in range(30)]
    bases = []
    for path in found:
        with Reader(path) as reader:
            bases.append(reader.header.base)
    sizes = [path.stat().st_size for path in found]
    assert bases == [sum(sizes[:n]) for n in range(len(sizes))]
    assert writer.bytes_on_disk() == writer.position == sum(sizes)
    assert [is_locked(path) for path in found] == [False] * (len(found) - 1) + [True]
    writer.close()


def test_a_full_disk_takes_the_next_segment_back(tmp_path):
    """Where there is no room for the farewell the journal goes on in its old segment."""
    writer = Writer(tmp_path, HEADER, segment_bytes=1000)
    writer.append(b"x" * 2000)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.position + 5, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.roll(b"farewell")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    (path,) = tmp_path.iterdir()
    assert is_locked(path)
    writer.append(b"after")
    writer.roll(b"farewell")
    assert read(path) == [b"x" * 2000, b"after", b"farewell"]
    assert read(path_of(tmp_path, 1)) == []
    writer.close()


def test_a_full_disk_leaves_whole_frames(writer, tmp_path):
    """What found no room is not there in part, and later frames are where they belong."""
    writer.append(b"before")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.position + 50, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            writer.append(b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert error.value.errno == errno.EFBIG
    writer.append(b"after")
    assert read(path_of(tmp_path)) == [b"before", b"after"]
    assert path_of(tmp_path).stat().st_size == writer.position
