"""Histogram windows of 1, 10 and 60 s: latencies added up by endpoint and part.

Windows that are still open are stored in ``histogram_open``, from which a shipper that takes over
continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from swarmscope.runs.histogram import RESOLUTIONS_S, Window

LATENESS_S = 2  # how long a window stays open after its end, for samples reported late


class Key(NamedTuple):
    """Identifies a window; `time` is its start in whole Unix seconds."""

    run: str
    resolution: int
    time: int
    name: str
    request_type: str
    part: str


class Windows:
    """The open windows of one journal."""

    def __init__(self, still_open: Iterable[tuple[Key, Window]] = ()) -> None:
        self.open: dict[Key, Window] = dict(still_open)

    def add(self, windows: Mapping[Key, Window]) -> None:
        """Add *windows* of one second at every resolution, to their endpoints and to all together.

        From fine to coarse: all but the first step have little to add.
        """
        everything: dict[Key, Window] = {}
        for key, window in windows.items():
            _add(everything, Key(key.run, 1, key.time, "", "", key.part), window)
        for level in (windows, everything):
            for resolution in RESOLUTIONS_S:
                if resolution > 1:
                    level = _coarser(level, resolution)
                for key, window in level.items():
                    _add(self.open, key, window)

    def close(self, now: float) -> Iterator[tuple[Key, Window]]:
        """Remove and yield the windows that ended `LATENESS_S` before *now* (Unix seconds)."""
        for key in list(self.open):
            if key.time + key.resolution + LATENESS_S <= now:
                yield key, self.open.pop(key)


def _coarser(windows: Mapping[Key, Window], resolution: int) -> dict[Key, Window]:
    """Return *windows* added up to those of a coarser *resolution* (s)."""
    added: dict[Key, Window] = {}
    for key, window in windows.items():
        start = key.time - key.time % resolution
        place = Key(key.run, resolution, start, key.name, key.request_type, key.part)
        _add(added, place, window)
    return added


def _add(windows: dict[Key, Window], key: Key, window: Window) -> None:
    found = windows.get(key)
    if found is None:
        found = windows[key] = Window()
    found.add(window)
