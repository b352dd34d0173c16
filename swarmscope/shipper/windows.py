"""Histogram windows of 1, 10 and 60 s: latencies added up by endpoint and part.

Windows that are still open are stored in ``histogram_open``, from which a shipper that takes over
continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

    def add(self, key: Key, window: Window) -> None:
        """Add a *window* of one second at every resolution, to its endpoint and to all together."""
        for resolution in RESOLUTIONS_S:
            start = key.time - key.time % resolution
            for name, method in ((key.name, key.request_type), ("", "")):
                place = Key(key.run, resolution, start, name, method, key.part)
                found = self.open.get(place)
                if found is None:
                    found = self.open[place] = Window()
                found.add(window)

    def close(self, now: float) -> Iterator[tuple[Key, Window]]:
        """Remove and yield the windows that ended `LATENESS_S` before *now* (Unix seconds)."""
        for key in list(self.open):
            if key.time + key.resolution + LATENESS_S <= now:
                yield key, self.open.pop(key)
