"""The directory of gunicorn's metrics files: made at its start, removed at its end.

It is locked by ``flock`` for as long as the arbiter or one of its workers lives, so that the next
start can distinguish a directory in use from one that a killed arbiter left behind.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path

from swarmscope import file_locks

PREFIX = "swarmscope-metrics-"
SHARED_MEMORY = Path("/dev/shm")
GRACE_S = 10.0  # a directory this young may not be locked yet
PERSISTENT_GAUGES = ("gauge_mostrecent",)  # a value that was set, not a process's state


def make_directory(base: Path, uid: int, gid: int) -> Path:
    """Make an empty directory under *base* for workers of *uid* and *gid*; remove it at exit."""
    base.mkdir(parents=True, exist_ok=True)
    sweep(base)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    if not os.geteuid():
        os.chown(directory, uid, gid)
    _lock(directory)
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # workers inherit the arbiter's exit handlers
        shutil.rmtree(directory, ignore_errors=True)


def default_base() -> Path:
    """Return the place for temporary files, in memory if the system has one there."""
    usable = os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    return SHARED_MEMORY if usable else Path(tempfile.gettempdir())


def sweep(base: Path) -> None:
    """Remove the directories under *base* whose arbiter and workers have all ended.

    One that holds a directory is somebody else's: metrics are files.
    """
    for directory in base.glob(PREFIX + "*"):
        try:
            young = time.time() - directory.stat().st_mtime < GRACE_S
            foreign = any(path.is_dir() for path in directory.iterdir())
            if not (young or foreign) and (held := _lock(directory)) is not None:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(held)
        except OSError:
            continue  # another user's, removed just now, or not a directory


def _lock(directory: Path) -> int | None:
    """Return a descriptor that locks *directory*, None if another process does."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if file_locks.lock(held):
        return held
    os.close(held)
    return None


def take_child_slot(directory: Path) -> str:
    """Return a slot for a process that a worker forked; its end frees the slot."""
    for number in itertools.count():
        held = os.open(directory / f"child{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        if file_locks.lock(held):
            break
        os.close(held)
    return f"child{number}"


def forget_worker(directory: Path, slot: str) -> None:
    """Remove the gauges of a worker that ended; its counters stay for its successor."""
    for path in directory.glob(f"gauge_*_{slot}.db"):
        if not path.name.startswith(PERSISTENT_GAUGES):
            path.unlink(missing_ok=True)
