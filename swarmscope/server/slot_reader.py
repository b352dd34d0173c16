"""Reads the slots' files of metric values while workers write to them.

Their layout is that of `prometheus_client.mmap_dict`: the number of bytes used (a 4-byte integer,
padded to 8), then entries, each a 4-byte length, a JSON key padded to 8, a value and the time when
it was set, both doubles. Entries are only ever appended.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from struct import unpack_from

HEADER_BYTES = 8
LENGTH_BYTES = 4
CELL_BYTES = 8


class ValueFile:
    """One slot's values of one kind (``counter``, ``gauge_livesum`` …), mapped into memory."""

    def __init__(self, path: Path, one_text: Callable[[str], str]) -> None:
        """Map *path*; raises FileNotFoundError, or ValueError for a file that is still empty.

        *one_text* returns one key for all with the same meaning.
        """
        self._one_text = one_text
        self.kind, _, self.slot = path.stem.rpartition("_")
        self.keys: list[str] = []
        self._cell_of: list[int] = []
        self._read_bytes = HEADER_BYTES
        self._descriptor = os.open(path, os.O_RDONLY)
        self.inode = os.fstat(self._descriptor).st_ino
        try:
            self._map()
        except ValueError:
            self.close()
            raise

    def values(self) -> list[float]:
        """Return the values in the order of `keys`, which this brings up to date."""
        self._read_keys()
        cells = self._cells
        return [cells[cell] for cell in self._cell_of]

    def times(self) -> list[float]:
        """Return when the values were set, Unix seconds or 0, in the order of `keys`."""
        return [self._cells[cell + 1] for cell in self._cell_of]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _map(self) -> None:
        self._bytes = mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ)
        self._cells: memoryview[float] = memoryview(self._bytes).cast("d")

    def _read_keys(self) -> None:
        used = unpack_from("i", self._bytes)[0]
        if used > len(self._bytes):  # it grew since it was mapped
            self._map()
        while self._read_bytes < used:
            length = unpack_from("i", self._bytes, self._read_bytes)[0]
            start = self._read_bytes + LENGTH_BYTES
            self.keys.append(self._one_text(self._bytes[start : start + length].decode()))
            end = start + length
            value = end + CELL_BYTES - end % CELL_BYTES  # at least one byte of padding
            self._cell_of.append(value // CELL_BYTES)
            self._read_bytes = value + 2 * CELL_BYTES


class ValueFiles:
    """The files of a directory, each mapped once for as long as it exists."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mapped: dict[str, ValueFile] = {}
        self._texts: dict[str, str] = {}

    def by_kind(self) -> dict[str, list[ValueFile]]:
        """Return the files that exist now, grouped by kind, in the order of their names."""
        with os.scandir(self._directory) as entries:
            there = {entry.name: entry.inode() for entry in entries if entry.name.endswith(".db")}
        for name, file in list(self._mapped.items()):
            if there.get(name) != file.inode:
                file.close()
                del self._mapped[name]
        kinds: dict[str, list[ValueFile]] = {}
        for name in sorted(there):
            if file_now := self._mapped.get(name) or self._open(name):
                kinds.setdefault(file_now.kind, []).append(file_now)
        return kinds

    def _open(self, name: str) -> ValueFile | None:
        try:
            self._mapped[name] = ValueFile(self._directory / name, self._one_text)
        except (FileNotFoundError, ValueError):  # just removed, or being created
            return None
        return self._mapped[name]

    def _one_text(self, key: str) -> str:
        """Return the first key that differs only in the help text, which a reload may change."""
        *means, _ = json.loads(key)
        return self._texts.setdefault(json.dumps(means), key)
