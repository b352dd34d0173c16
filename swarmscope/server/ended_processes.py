"""The metrics of programs that workers start anew (``subprocess``, ``multiprocessing``'s spawn).

Those make metrics the way prometheus_client does, in files named after their pids. Once such a
program has ended its figures are added to those of all others before it, under one slot, so that
files do not pile up and counters never go backwards.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from swarmscope.server.directory import PERSISTENT_GAUGES, forget_worker
from swarmscope.server.slot_reader import ValueFile
from swarmscope.server.slots import SlotFile

GONE = "gone"  # the slot of all programs that have ended


def fold(directory: Path, slots: Collection[int]) -> None:
    """Add up what ended programs have left in *directory*; *slots* are those of workers."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(".db")]
    for name in names:
        owner = name.removesuffix(".db").rpartition("_")[2]
        if owner.isdecimal() and int(owner) not in slots and not _is_alive(int(owner)):
            forget_worker(directory, owner)
            _add(directory / name)


def _add(path: Path) -> None:
    """Add the values in *path* to those of the slot `GONE`, and remove it."""
    try:
        file = ValueFile(path, str)
    except FileNotFoundError:  # a gauge of what is no more
        return
    except ValueError:  # it ended before it had written anything
        path.unlink(missing_ok=True)
        return
    values, times = file.values(), file.times()
    file.close()
    sums = SlotFile(path.with_name(f"{file.kind}_{GONE}.db"))
    for key, value, time in zip(file.keys, values, times, strict=True):
        cells, index = sums.cell(key)
        if not file.kind.startswith(PERSISTENT_GAUGES):
            cells[index] += value
        elif time > cells[index + 1]:
            cells[index], cells[index + 1] = value, time
    path.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as somebody else
        return True
    return True
