"""What a worker's probe has measured, in a small file that the arbiter reads at each scrape.

All are sums that only grow, also over the workers that follow each other in a slot.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

NAMES = (
    "wakes",  # of a thread
    "late_s",  # how late it woke, in all
    "looked_s",  # for how long this has been looked at
    "lag_s2",  # integral over time of how long an event would have waited for the loop
    "threaded_s",  # for how long the queue in front of the threads has been looked at
    "queued_s",  # integral of the connections in it
)
WAKES, LATE, LOOKED, LAG, THREADED, QUEUED = range(len(NAMES))
BYTES = len(NAMES) * 8


def path_of(directory: Path, slot: str) -> Path:
    """Return where the sums of *slot* are."""
    return directory / f"worker_{slot}.probe"


def open_cells(path: Path, create: bool) -> memoryview[float]:
    """Map the sums; raises OSError, or ValueError for a file that is still empty."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT if create else os.O_RDONLY, 0o600)
    try:
        if create:
            os.ftruncate(descriptor, BYTES)
        access = mmap.ACCESS_WRITE if create else mmap.ACCESS_READ
        return memoryview(mmap.mmap(descriptor, BYTES, access=access)).cast("d")
    finally:
        os.close(descriptor)
