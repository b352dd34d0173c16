"""What a swarm measured second by second, while it runs: for those who steer by it.

The runs database has the same figures, but a swarm must be steered without one. Each process that
runs users adds up its samples by second of completion; workers report theirs to the master.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from swarmscope.client import clock, tally
from swarmscope.client.hops import timing_of
from swarmscope.client.timing import parts
from swarmscope.client.windows import Window, window_of
from swarmscope.runs.histogram import estimate

MESSAGE_KEY = "swarmscope_measurement"
LIMIT_OPTION = "swarmscope_measure_over_ms"  # travels to workers with Locust's parsed options
KEPT_SECONDS = 600
MEASUREMENT = "swarmscope.measurement"  # who reads a response's parts

Sample = tuple[float, float | None, float | None, bool]  # total, queue, app (ms), failed


@dataclass
class Measured:
    """Samples added up, by part of latency; `slow` took longer than the limit."""

    slow: int = 0
    failed: int = 0
    parts: dict[str, Window] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many finished."""
        return self.parts["total"].count if "total" in self.parts else 0

    def add(self, other: Measured) -> None:
        """Add what *other* holds."""
        self.slow += other.slow
        self.failed += other.failed
        for name, window in other.parts.items():
            self.parts.setdefault(name, Window()).add(window)

    def mean_ms(self, part: str) -> float | None:
        """Return the mean of *part*, None where nothing was measured."""
        window = self.parts.get(part)
        return window.sum_ms / window.count if window and window.count else None

    def percentile_ms(self, part: str, share: float) -> float | None:
        """Return the value that *share* of the samples do not exceed, within 2.5 %."""
        window = self.parts.get(part)
        if not window or not window.count:
            return None
        rank, seen = max(ceil(share * window.count), 1), 0
        for number in sorted(window.counts):
            seen += window.counts[number]
            if seen >= rank:
                return min(estimate(number), window.max_ms)
        return window.max_ms

    def as_message(self) -> list[Any]:
        """Return the form that travels in a Locust message."""
        rows = [
            [name, w.count, w.failures, w.sum_ms, w.max_ms, list(w.counts), list(w.counts.values())]
            for name, w in self.parts.items()
        ]
        return [self.slow, self.failed, rows]

    @classmethod
    def from_message(cls, message: list[Any]) -> Measured:
        """Read what `as_message` wrote."""
        slow, failed, rows = message
        return cls(slow, failed, {name: Window.of(*figures) for name, *figures in rows})


def measured(samples: Iterable[Sample], limit_ms: float) -> Measured:
    """Add up *samples*; parts are kept where they fit into the total, as in the runs database."""
    values: dict[str, list[float]] = {"total": [], "queue": [], "app": [], "outside": []}
    slow = failed = 0
    for total, queue, app, is_failed in samples:
        values["total"].append(total)
        slow += total > limit_ms
        failed += is_failed
        if queue is not None and app is not None and 0 <= queue <= total - app:
            values["queue"].append(queue)
            values["app"].append(app)
            values["outside"].append(total - queue - app)
    windows = {name: window_of(found, 0) for name, found in values.items() if found}
    return Measured(slow, failed, windows)


class Recorder:
    """Adds up the samples of this process while a run asks for it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._limit_ms = 0.0
        self._measures = False
        self._samples: dict[int, list[Sample]] = {}
        environment.events.test_start.add_listener(self._on_start)
        environment.events.test_stop.add_listener(self._on_stop)

    def take(self) -> list[tuple[int, Measured]]:
        """Return what finished since the last call: (Unix second of completion, figures)."""
        taken, self._samples = self._samples, {}
        return [(second, measured(samples, self._limit_ms)) for second, samples in taken.items()]

    def _on_start(self, **_: object) -> None:
        self._samples = {}
        self._on_stop()
        self._limit_ms = float(vars(self._environment.parsed_options).get(LIMIT_OPTION) or 0)
        if self._limit_ms:
            self._measures = True
            self._environment.events.request.add_listener(self._on_request)
            tally.counted.add_listener(self._on_counted)

    def _on_stop(self, **_: object) -> None:
        if self._measures:
            self._measures = False
            self._environment.events.request.remove_listener(self._on_request)
            tally.counted.remove_listener(self._on_counted)

    def _on_request(
        self,
        response_time: float | None = None,
        response: Any = None,
        exception: BaseException | None = None,
        **_: object,
    ) -> None:
        queue, app = parts(timing_of(response, MEASUREMENT))
        self._keep((response_time or 0.0, queue, app, exception is not None))

    def _on_counted(self, environment: Environment, kind: str, number: int) -> None:
        """Hold an arrival that was dropped against the service: it had no connection free."""
        if kind == tally.ARRIVALS_DROPPED and environment is self._environment:
            for _ in range(number):
                self._keep((self._limit_ms * 2, None, None, True))

    def _keep(self, sample: Sample) -> None:
        self._samples.setdefault(int(time.time() + clock.offset_s), []).append(sample)


class Seconds:
    """All processes' figures of the last minutes, by second of completion (master's clock)."""

    def __init__(self) -> None:
        self._seconds: dict[int, Measured] = {}

    def add(self, taken: Iterable[tuple[int, Measured]]) -> None:
        """Take in what a process measured, and drop what is too old to matter."""
        for second, figures in taken:
            self._seconds.setdefault(second, Measured()).add(figures)
        oldest = max(self._seconds, default=0) - KEPT_SECONDS
        for second in [second for second in self._seconds if second < oldest]:
            del self._seconds[second]

    def between(self, first: int, last: int) -> Measured:
        """Return the sum of the seconds from *first* to before *last*."""
        total = Measured()
        for second in range(first, last):
            if second in self._seconds:
                total.add(self._seconds[second])
        return total


def watch(environment: Environment) -> Recorder | None:
    """Let this process measure when a run asks for it; None for a master, which has no users."""
    if isinstance(environment.runner, MasterRunner):
        return None
    recorder = Recorder(environment)

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        data[MESSAGE_KEY] = [(second, m.as_message()) for second, m in recorder.take()]

    if isinstance(environment.runner, WorkerRunner):
        environment.events.report_to_master.add_listener(on_report_to_master)
    return recorder


def gather(environment: Environment, seconds: Seconds) -> None:
    """Put what workers report into *seconds*; the master's part."""

    def on_worker_report(data: dict[str, Any], **_: object) -> None:
        reported = data.get(MESSAGE_KEY, ())
        seconds.add((second, Measured.from_message(message)) for second, message in reported)

    environment.events.worker_report.add_listener(on_worker_report)
