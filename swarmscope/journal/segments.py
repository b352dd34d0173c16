"""The segments in a directory: their names and order, and whether their writers are alive."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swarmscope import file_locks

SUFFIX = ".journal"
MAX_UNLOCKED_S = 10.0  # between a segment's creation and its lock


@dataclass(frozen=True)
class Segment:
    """A file of a journal, by its name alone."""

    path: Path
    journal: str
    number: int


def segments(directory: Path) -> dict[str, list[Segment]]:
    """Return the segments in *directory*, in order, by journal id."""
    found: dict[str, list[Segment]] = {}
    for name in sorted(_names(directory)):
        journal, number = _parts_of(name)
        if journal:
            found.setdefault(journal, []).append(Segment(directory / name, journal, number))
    return found


def segments_of(journal: str, directory: Path) -> list[Segment]:
    """Return the segments of one journal, in order."""
    names = sorted(name for name in _names(directory) if _parts_of(name)[0] == journal)
    return [Segment(directory / name, *_parts_of(name)) for name in names]


def not_files(directory: Path) -> list[Path]:
    """Return what is named like a segment but is not a file: opening it may block for ever."""
    return [directory / name for name in sorted(_names(directory, regular=False))]


def segment_path(directory: Path, journal: str, number: int) -> Path:
    """Return the path of a segment; names sort in the order of their numbers."""
    return directory / f"{journal}.{number:08d}{SUFFIX}"


def next_segment(segment: Segment) -> Segment | None:
    """Return the segment after *segment*; None if there is none now.

    A writer opens the next segment before it unlocks the last one. So for a reader that finds no
    lock first, None then means that the writer is gone.
    """
    directory, number = segment.path.parent, segment.number + 1
    path = segment_path(directory, segment.journal, number)
    if path.is_file():
        return Segment(path, segment.journal, number)
    later = segments_of(segment.journal, directory)  # one in between may have been removed
    return next((each for each in later if each.number >= number), None)


def is_alive(segment: Segment) -> bool:
    """Return whether a live process writes to *segment*, or to a later one of its journal."""
    latest: Segment | None = segment
    while latest:
        with suppress(FileNotFoundError):  # delivered: check the next one
            if is_locked(latest.path):
                return True
        latest = next_segment(latest)
    return False


def is_locked(path: Path) -> bool:
    """Return whether a live process writes to the segment."""
    with path.open("rb") as file:
        return not file_locks.lock(file, shared=True)


def is_abandoned(path: Path) -> bool:
    """Return whether a segment without a header will never get one: its writer has ended."""
    return not is_locked(path) and time.time() > path.stat().st_mtime + MAX_UNLOCKED_S


def make_directory(directory: Path) -> None:
    """Create *directory* and its missing parents, closed to other users."""
    if not directory.exists():
        make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def _names(directory: Path, regular: bool = True) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file() is regular
            ]
    except FileNotFoundError:
        return []


def _parts_of(name: str) -> tuple[str, int]:
    """Return journal id and number of a segment's *name*; ('', 0) for another file's."""
    journal, _, number = name.removesuffix(SUFFIX).partition(".")
    return (journal, int(number)) if journal and number.isdecimal() else ("", 0)
