"""Metric values in memory-mapped files that belong to worker slots, added to in place.

prometheus_client names a process's files after its pid, so every restarted worker leaves new files
behind. Here a file belongs to a *slot*, the place that a worker takes and its successor takes over:
there are as many files as slots, and a successor goes on counting where its predecessor stopped.

The files are those of prometheus_client (`prometheus_client.mmap_dict`), whose values are doubles
at addresses that eight divides. They are added to through a ``memoryview`` of doubles, which costs
a fraction of packing them anew and loses nothing when the process is killed.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from prometheus_client import Counter, Histogram
from prometheus_client import values as prometheus_values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

BYTES_PER_CELL = 8

if TYPE_CHECKING:
    Cells = memoryview[float] | array[float]


class SlotFile:
    """One file of values, by kind of metric, of one slot."""

    def __init__(self, path: Path) -> None:
        self._entries = MmapedDict(str(path))
        self._view = memoryview(self._entries._m).cast("d")

    def cell(self, key: str) -> tuple[Cells, int]:
        """Return where *key*'s value stands, made as 0 where there is none; its time follows it."""
        mapped_before = self._entries._m
        self._entries.read_value(key)
        if self._entries._m is not mapped_before:  # it grew; older views map the same file
            self._view = memoryview(self._entries._m).cast("d")
        return self._view, self._entries._positions[key] // BYTES_PER_CELL


class Follower(Protocol):
    """Keeps cells for itself, which are others after a move."""

    def forget_cells(self) -> None:
        """Let go of all cells."""


class SlotFiles:
    """The files that this process writes to: none until it is given a slot."""

    def __init__(self) -> None:
        self.directory: Path | None = None
        self.slot = ""
        self._files: dict[str, SlotFile] = {}
        self._values: WeakSet[SlotValue] = WeakSet()
        self._followers: WeakSet[Follower] = WeakSet()
        self._lock = threading.Lock()

    @property
    def shared(self) -> bool:
        """Whether other processes see the values."""
        return self.directory is not None

    def attach(self, directory: Path, slot: str) -> None:
        """Write to the files of *slot* in *directory* from now on, with all values that exist."""
        self._move(directory, slot)

    def detach(self) -> None:
        """Keep values in this process's own memory from now on, unseen by others."""
        self._lock = threading.Lock()  # a fork may have copied it locked
        self._move(None, "")

    def follow(self, follower: Follower) -> None:
        """Tell *follower* of every move, for as long as it lives."""
        self._followers.add(follower)

    def add(self, value: SlotValue) -> None:
        """Give a new value its place."""
        with self._lock:
            self._values.add(value)
            value.bind(*self._cell(value))

    def _move(self, directory: Path | None, slot: str) -> None:
        with self._lock:
            self.directory, self.slot = directory, slot
            self._files = {}
            for value in self._values:
                value.bind(*self._cell(value))
        for follower in self._followers:
            follower.forget_cells()

    def _cell(self, value: SlotValue) -> tuple[Cells, int]:
        if self.directory is None:
            return array("d", (0.0, 0.0)), 0
        if value.kind not in self._files:
            path = self.directory / f"{value.kind}_{self.slot}.db"
            self._files[value.kind] = SlotFile(path)
        return self._files[value.kind].cell(value.key)


FILES = SlotFiles()


class SlotValue:
    """A double in the slot's file: what prometheus_client calls a value class.

    ``inc`` needs no lock under the GIL: between reading and writing the cell the interpreter runs
    no other thread (it switches at calls and at backward jumps only).
    """

    __slots__ = ("__weakref__", "cells", "index", "key", "kind")
    _multiprocess = True

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: object,
    ) -> None:
        self.kind = f"gauge_{multiprocess_mode}" if typ == "gauge" else typ
        self.key = mmap_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        FILES.add(self)

    def bind(self, cells: Cells, index: int) -> None:
        """Stand at *index* of *cells*, the time of setting one further."""
        self.cells, self.index = cells, index

    def inc(self, amount: float) -> None:
        """Add *amount* in place."""
        self.cells[self.index] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace the value; *timestamp* (Unix seconds) orders values of ``mostrecent`` gauges."""
        self.cells[self.index] = value
        self.cells[self.index + 1] = timestamp or 0.0

    def get(self) -> float:
        """Return the slot's value."""
        return float(self.cells[self.index])

    def set_exemplar(self, _: object) -> None:
        """Ignore it: there are no exemplars across processes."""

    def get_exemplar(self) -> None:
        """Return none: there are no exemplars across processes."""


def observer(histogram: Histogram, counter: Counter | None = None) -> Callable[[float], None]:
    """Return what observes a value in *histogram*, and counts it in *counter*, at the least cost.

    Both are children (with labels). It holds for as long as the files stay the same
    (`SlotFiles.follow`).
    """
    last = histogram._buckets[-1]
    if not isinstance(last, SlotValue) or not FILES.shared:
        return _plain_observer(histogram, counter)
    cells = last.cells  # the file's newest view, so it reaches all of them
    bounds, sum_index = histogram._upper_bounds, histogram._sum.index
    indices = [bucket.index for bucket in histogram._buckets]

    def observe(amount: float) -> None:
        cells[indices[bisect_left(bounds, amount)]] += 1.0
        cells[sum_index] += amount

    if counter is None:
        return observe
    count_cells, count_index = counter._value.cells, counter._value.index

    def count_and_observe(amount: float) -> None:
        count_cells[count_index] += 1.0
        cells[indices[bisect_left(bounds, amount)]] += 1.0
        cells[sum_index] += amount

    return count_and_observe


def _plain_observer(histogram: Histogram, counter: Counter | None) -> Callable[[float], None]:
    if counter is None:
        return histogram.observe

    def count_and_observe(amount: float) -> None:
        counter.inc()
        histogram.observe(amount)

    return count_and_observe


def use_slots() -> None:
    """Make every metric that is constructed from now on keep its values in slots."""
    prometheus_values.ValueClass = SlotValue
