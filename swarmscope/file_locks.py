"""Locks of files: the kernel releases one when the last process that holds it ends."""

from __future__ import annotations

import fcntl
from typing import IO


def lock(file: int | IO[bytes] | IO[str], shared: bool = False) -> bool:
    """Lock an open *file*, or its descriptor, without waiting; return False if another holds it."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
