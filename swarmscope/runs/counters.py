"""By how much the services' counters grew in a run, and at its levels: exact differences.

Increases of Prometheus's are extrapolated. Here a counter's last value before a run is subtracted
from its first one after it, so that a run of ten statements has ten. Where a service was restarted
meanwhile, all values between are added up; what it counted after the last scrape before its end is
lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import ceil

from swarmscope.runs.prometheus import Line, Prometheus

WHOLE = 0  # the level of the whole run
MAX_LEVELS = 30
MAX_COUNT = 2.0**53  # what a float counts one by one
REQUESTS = "flask_http_request_duration_seconds_count"

Series = frozenset[tuple[str, str]]  # its labels, `__name__` among them
Values = Mapping[Series, float]


@dataclass(frozen=True)
class Level:
    """A span in which a run's shape held one level; the number of the first one is 1."""

    number: int
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Counters:
    """The counters that *which* chooses, of the services *who*: label matchers, both.

    Every moment has a deadline of its own. All raise `prometheus.Unavailable`.
    """

    url: str
    who: str
    which: str

    def in_spans(
        self, since: datetime, until: datetime, scrape_s: int, levels: Sequence[Level]
    ) -> Iterator[Values]:
        """Yield the growth in [since, until], then that in each of the first `MAX_LEVELS` levels.

        Services are scraped every *scrape_s*: a run ends with the first scrape after it.
        """
        yield self.counted(since.timestamp(), until.timestamp() + scrape_s)
        for level in levels[:MAX_LEVELS]:
            yield self.between(level.since.timestamp(), level.until.timestamp())

    def counted(self, start: float, end: float) -> Values:
        """Return by how much each counter grew; from zero where it was not there before."""
        before = self._at(start)
        after = self._at(end)
        restarts = f"max by (job) (resets({REQUESTS}{{{self.who}}}[{ceil(end - start)}s])) > 0"
        restarted = {line.metric.get("job", "") for line in self._ask(end, restarts)}
        restarted |= {dict(series).get("job", "") for series in before.keys() - after.keys()}
        values = {series: [value] for series, value in after.items()}
        if restarted:
            lines = self._ask(end, f"{self._selector()}[{ceil(end - start)}s]")
            values |= {
                frozenset(line.metric.items()): [
                    value for _, text in line.values if is_count(value := float(text))
                ]
                for line in lines
                if line.metric.get("job", "") in restarted
            }
        return {series: _growth(before.get(series, 0.0), all_) for series, all_ in values.items()}

    def between(self, start: float, end: float) -> Values:
        """Return the same of a part of a run, between the last scrapes before its ends."""
        before = self._at(start)
        return {
            series: _growth(before.get(series, 0.0), [value])
            for series, value in self._at(end).items()
        }

    def _at(self, moment: float) -> Values:
        lines = self._ask(moment, self._selector())
        return {
            frozenset(line.metric.items()): value
            for line in lines
            if line.value and is_count(value := float(line.value[1]))
        }

    def _selector(self) -> str:
        return f"{{{self.which}, {self.who}}}"

    def _ask(self, moment: float, query: str) -> list[Line]:
        return Prometheus(self.url).at(moment, query)


def is_count(value: float) -> bool:
    """Return whether a counter can have a value: services serve what they like."""
    return 0 <= value <= MAX_COUNT


def _growth(before: float, values: Sequence[float]) -> float:
    """Return by how much a counter grew over *values*; one that fell has begun at zero."""
    steps = pairwise((before, *values))
    return sum(after - last if after >= last else after for last, after in steps)
