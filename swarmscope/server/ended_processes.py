"""Metrics of programs that workers started and that have ended.

A program started by ``subprocess`` or ``multiprocessing``'s spawn writes metrics as
prometheus_client does, to files named after its pid. Once it has ended, its values are added to
those of all earlier ones, under one slot: files do not accumulate and counters never decrease.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from swarmscope.server.directory import PERSISTENT_GAUGES, forget_worker
from swarmscope.server.slot_reader import ValueFile
from swarmscope.server.slots import SlotFile

GONE = "gone"  # the slot of all ended programs


def merge_ended(directory: Path, slots: Collection[int]) -> None:
    """Merge the files that ended programs left in *directory*; *slots* are the workers'."""
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
    except FileNotFoundError:  # a gauge, just removed
        return
    except ValueError:  # it ended before writing anything
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
    except PermissionError:  # it runs as another user
        return True
    return True
