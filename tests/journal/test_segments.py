"""A segment's lock shows whether its writer is alive."""

from __future__ import annotations

from support.journals import HEADER, path_of

from swarmscope.journal.segments import is_locked
from swarmscope.journal.writer import Writer


def test_the_lock_tells_whether_the_writer_lives(tmp_path):
    """A segment is locked from its first byte until its writer closes it or dies."""
    writer = Writer(tmp_path, HEADER)
    assert is_locked(path_of(tmp_path))
    writer.close()
    assert not is_locked(path_of(tmp_path))
