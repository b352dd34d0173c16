"""Histogram windows: latencies added up by second, endpoint and part, and by 10 s and 60 s.

What a shipper has not yet closed stands in ``histogram_open``, so that a shipper that takes over
goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil, isfinite, log
from typing import NamedTuple

from swarmscope.runs.histogram import (
    BUCKETS_PER_E,
    LONGEST_MS,
    RESOLUTIONS_S,
    SHORTEST_MS,
    bucket,
)

LATENESS_S = 2  # a window stays open for so long, for samples that are reported late


class Key(NamedTuple):
    """What a window is of: `time` is its start in whole Unix seconds."""

    run: str
    resolution: int
    time: int
    name: str
    request_type: str
    part: str


@dataclass(slots=True)
class Window:
    """Requests and their latencies added up.

    `counts` maps buckets to the number of latencies in them: what has no usable time is in `count`
    and perhaps in `failures`, and nowhere else.
    """

    count: int = 0
    failures: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0
    counts: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(
        cls,
        count: int,
        failures: int,
        sum_ms: float,
        max_ms: float,
        buckets: list[int],
        counts: list[int],
    ) -> Window:
        """Return the window that a row of the database holds."""
        numbers = Counter(dict(zip(buckets, counts, strict=True)))
        return cls(count, failures, sum_ms, max_ms, numbers)

    def add(self, other: Window) -> None:
        """Add what *other* holds."""
        self.count += other.count
        self.failures += other.failures
        self.sum_ms += other.sum_ms
        self.max_ms = max(self.max_ms, other.max_ms)
        counts = self.counts
        for number, count in other.counts.items():
            counts[number] += count


def window_of(values_ms: list[float], failures: int, untimed: int = 0) -> Window:
    """Return the window of requests that took *values_ms*, and of *untimed* without a time.

    Values that are no number count as none.
    """
    if not values_ms:
        return Window(untimed, failures)
    total, longest = sum(values_ms), max(values_ms)
    if not isfinite(total):
        return window_of([ms if isfinite(ms) else 0.0 for ms in values_ms], failures, untimed)
    if min(values_ms) > SHORTEST_MS and longest < LONGEST_MS:
        counts = Counter([ceil(log(ms) * BUCKETS_PER_E) for ms in values_ms])
    else:
        counts = Counter(map(bucket, values_ms))
    return Window(len(values_ms) + untimed, failures, total, longest, counts)


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
