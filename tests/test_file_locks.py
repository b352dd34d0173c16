"""Locks that tell whether a process is alive."""

from __future__ import annotations

import os
from pathlib import Path

from swarmscope.file_locks import lock


def test_one_holds_a_lock_until_it_closes_the_file(tmp_path: Path) -> None:
    """Without waiting, the other is told."""
    with (tmp_path / "lock").open("a") as first, (tmp_path / "lock").open("a") as second:
        assert lock(first)
        assert not lock(second)
        assert not lock(second, shared=True)
        first.close()
        assert lock(second)


def test_several_share_a_lock(tmp_path: Path) -> None:
    """They keep out one that wants it alone."""
    with (tmp_path / "lock").open("a") as first, (tmp_path / "lock").open("a") as second:
        assert lock(first, shared=True)
        assert lock(second, shared=True)
        assert not lock(first)


def test_a_copy_of_the_descriptor_keeps_the_lock(tmp_path: Path) -> None:
    """So does a child process that inherits it."""
    with (tmp_path / "lock").open("a") as first, (tmp_path / "lock").open("a") as second:
        assert lock(first)
        copy = os.dup(first.fileno())
        first.close()
        assert not lock(second)
        os.close(copy)
        assert lock(second)
