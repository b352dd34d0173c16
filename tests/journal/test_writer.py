"""A journal stays whole on a full disk, continues in segments, and is private."""

from __future__ import annotations

import errno
import os
import resource

import pytest
from support.journals import HEADER, path_of, payloads

from swarmscope.journal.reader import Reader
from swarmscope.journal.segments import is_locked, segments
from swarmscope.journal.writer import Writer


@pytest.fixture
def writer(tmp_path):
    writer = Writer(tmp_path, HEADER)
    yield writer
    writer.close()


def test_nobody_else_may_read_a_journal(tmp_path):
    """A Locust without `swarmscope up` makes the home: it is as closed as its journals."""
    before = os.umask(0o022)
    try:
        Writer(tmp_path / "home/journals", HEADER).close()
    finally:
        os.umask(before)

    made = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert [oct(path.stat().st_mode & 0o777) for path in made] == ["0o700", "0o700", "0o600"]


def test_a_long_journal_goes_on_in_segments(tmp_path):
    """Positions go on over segments, and the old segment says that there is a next one."""
    writer = Writer(tmp_path, HEADER, segment_bytes=1000)
    for number in range(30):
        writer.append(b"%d" % number * 100)
        writer.roll(b"farewell")
    found = [segment.path for segment in segments(tmp_path)[HEADER.journal]]
    kept_in = [payloads(path) for path in found]
    assert len(found) > 3
    assert [p[-1] for p in kept_in[:-1]] == [b"farewell"] * (len(found) - 1)
    kept = [p for part in kept_in for p in part if p != b"farewell"]
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
    assert payloads(path) == [b"x" * 2000, b"after", b"farewell"]
    assert payloads(path_of(tmp_path, 1)) == []
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
    assert payloads(path_of(tmp_path)) == [b"before", b"after"]
    assert path_of(tmp_path).stat().st_size == writer.position
