"""A segment is read up to its last whole frame, whatever follows."""

from __future__ import annotations

import os

import pytest
from support.journals import HEADER, path_of, payloads

from swarmscope.journal.format import FRAME, JournalError, frame
from swarmscope.journal.reader import Reader
from swarmscope.journal.writer import Writer


@pytest.fixture
def writer(tmp_path):
    writer = Writer(tmp_path, HEADER)
    yield writer
    writer.close()


def test_what_is_written_is_read(writer, tmp_path):
    """Frames come back whole and in order, from the start or from a position."""
    writer.append(b"one")
    middle = writer.position
    writer.append(b"two" * 1_000_000)
    assert payloads(path_of(tmp_path)) == [b"one", b"two" * 1_000_000]
    assert payloads(path_of(tmp_path), middle) == [b"two" * 1_000_000]
    with Reader(path_of(tmp_path)) as reader:
        assert (reader.header, reader.end()) == (HEADER, writer.position)


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
        assert payloads(path) == [b"whole"]
    with path.open("ab") as file:
        file.write(torn[-1:])
    assert payloads(path) == [b"whole", b"unfinished"]


def test_zeros_at_the_end_are_a_torn_tail(writer, tmp_path):
    """A machine's crash may leave a file longer than what was written to it."""
    writer.append(b"whole")
    path = path_of(tmp_path)
    os.truncate(path, writer.position + 4096)
    assert payloads(path) == [b"whole"]


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
