"""Metric values in memory-mapped files, one set of files per worker slot, updated in place.

prometheus_client names a process's files after its pid, so that every restarted worker leaves files
behind. Here a file belongs to a *slot*, which a worker's successor takes over: there are as many
files as slots, and a successor continues the counts of its predecessor.

The format is prometheus_client's (`prometheus_client.mmap_dict`): values are doubles at multiples
of eight bytes. They are updated through a ``memoryview`` of doubles, at a fraction of the cost of
packing them, and nothing is lost when the process is killed.
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
    """The file of one kind of metric and one slot."""

    def __init__(self, path: Path) -> None:
        self._entries = MmapedDict(str(path))
        self._view = memoryview(self._entries._m).cast("d")

    def keys(self) -> list[str]:
        """Return the keys of all values, as prometheus_client writes them."""
        return list(self._entries._positions)

    def cell(self, key: str) -> tuple[Cells, int]:
        """Return the cell of *key*'s value, 0 if new; the next cell holds its time."""
        mapped_before = self._entries._m
        self._entries.read_value(key)
        if self._entries._m is not mapped_before:  # it grew; older views still map the same file
            self._view = memoryview(self._entries._m).cast("d")
        return self._view, self._entries._positions[key] // BYTES_PER_CELL


class CellKeeper(Protocol):
    """Keeps cells that a move replaces by others."""

    def forget_cells(self) -> None:
        """Drop all cells."""


class SlotFiles:
    """The files that this process writes to: none until it has a slot."""

    def __init__(self) -> None:
        self.directory: Path | None = None
        self.slot = ""
        self._files: dict[str, SlotFile] = {}
        self._values: WeakSet[SlotValue] = WeakSet()
        self._keepers: WeakSet[CellKeeper] = WeakSet()
        self._lock = threading.Lock()

    @property
    def shared(self) -> bool:
        """Whether other processes see the values."""
        return self.directory is not None

    def attach(self, directory: Path, slot: str) -> None:
        """Write to the files of *slot* in *directory* from now on, existing values included."""
        self._move(directory, slot)

    def detach(self) -> None:
        """Keep values in this process's own memory from now on."""
        self._lock = threading.Lock()  # a fork may have copied it locked
        self._move(None, "")

    def add_keeper(self, keeper: CellKeeper) -> None:
        """Call ``keeper.forget_cells()`` at every move, for as long as *keeper* lives."""
        self._keepers.add(keeper)

    def add(self, value: SlotValue) -> None:
        """Give a new value its cell."""
        with self._lock:
            self._values.add(value)
            value.bind(*self._cell(value))

    def keys(self, kind: str) -> list[str]:
        """Return the keys of all values of *kind* in the slot, those of former workers included."""
        return [] if self.directory is None else self._file(kind).keys()

    def _move(self, directory: Path | None, slot: str) -> None:
        with self._lock:
            self.directory, self.slot = directory, slot
            self._files = {}
            for value in self._values:
                value.bind(*self._cell(value))
        for keeper in self._keepers:
            keeper.forget_cells()

    def _cell(self, value: SlotValue) -> tuple[Cells, int]:
        if self.directory is None:
            return array("d", (0.0, 0.0)), 0
        return self._file(value.kind).cell(value.key)

    def _file(self, kind: str) -> SlotFile:
        assert self.directory is not None
        if kind not in self._files:
            self._files[kind] = SlotFile(self.directory / f"{kind}_{self.slot}.db")
        return self._files[kind]


FILES = SlotFiles()


class SlotValue:
    """A double in the slot's file: a value class of prometheus_client.

    ``inc`` needs no lock under the GIL: between reading and writing the cell the interpreter runs
    no other thread (it switches only at calls and backward jumps).
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
        """Use cell *index* of *cells*, and the next one for the time when the value was set."""
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
        """Ignore it: exemplars do not work across processes."""

    def get_exemplar(self) -> None:
        """Return None: exemplars do not work across processes."""


def observer(histogram: Histogram, counter: Counter | None = None) -> Callable[[float], None]:
    """Return a cheap function that observes a value in *histogram* and counts it in *counter*.

    Both are children (with labels). It is valid until the files change
    (`SlotFiles.add_keeper`).
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
    """Make every metric that is created from now on keep its values in slots."""
    prometheus_values.ValueClass = SlotValue
