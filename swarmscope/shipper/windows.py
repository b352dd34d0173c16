"""Histogram windows: latencies added up by second, endpoint and part, and by 10 s and 60 s.

What a shipper has not yet closed stands in ``histogram_open``, so that a shipper that takes over
goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from swarmscope.runs.histogram import RESOLUTIONS_S, Window

LATENESS_S = 2  # a window stays open for so long, for samples that are reported late


class Key(NamedTuple):
    """What a window is of: `time` is its start in whole Unix seconds."""

    run: str
    resolution: int
    time: int
    name: str
    request_type: str
    part: str


class Windows:
    """The windows that one journal fills."""

    def __init__(self, still_open: Iterable[tuple[Key, Window]] = ()) -> None:
        self.open: dict[Key, Window] = dict(still_open)

    def add(self, key: Key, window: Window) -> None:
        """Add what one second of one endpoint and part brought, at every resolution.

        *key* is of resolution 1.
        """
        for resolution in RESOLUTIONS_S:
            start = key.time - key.time % resolution
            for name, method in ((key.name, key.request_type), ("", "")):
                place = Key(key.run, resolution, start, name, method, key.part)
                found = self.open.get(place)
                if found is None:
                    found = self.open[place] = Window()
                found.add(window)

    def close(self, now: float) -> Iterator[tuple[Key, Window]]:
        """Take out, and yield, the windows that ended `LATENESS_S` before *now* (Unix seconds)."""
        for key in list(self.open):
            if key.time + key.resolution + LATENESS_S <= now:
                yield key, self.open.pop(key)
