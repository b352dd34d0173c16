"""What a swarm measures, second by second, while it runs; the capacity search steers by it.

The runs database has the same figures, but the search has to work without one. Each process that
runs users adds up its samples by second of completion; workers report theirs to the master.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Annotated, Any

from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from msgspec import Meta

from swarmscope.client import clock
from swarmscope.client.events import listen_first
from swarmscope.client.master.messages import Count, Milliseconds, Second, convert
from swarmscope.client.response_timing import timing_of
from swarmscope.client.workload import missed, population
from swarmscope.redaction import stored_name
from swarmscope.runs.histogram import HIGHEST, LOWEST, PARTS, Window, estimate, window_of
from swarmscope.runs.selection import Selection
from swarmscope.server_timing import parts, plausible

MESSAGE_KEY = "swarmscope_measurement"
STARTING_KEY = "swarmscope_starting"
MEASURE_OPTION = "swarmscope_measure"  # travels to workers with Locust's parsed options
KEPT_SECONDS = 600
MEASUREMENT = "swarmscope.measurement"  # the reader of a response's parts
MAX_MS = 1e12  # beyond, and below 0, is no time, as in the runs database
MAX_TYPES = 20  # of requests that do not count; the rest share one
MORE_TYPES = "(more types)"

AHEAD_SECONDS = 60  # by which a worker's clock may be off until it knows the master's

Bucket = Annotated[int, Meta(ge=LOWEST, le=HIGHEST)]
PartName = Annotated[str, Meta(pattern=rf"^({'|'.join(PARTS)})\Z")]
Part = tuple[PartName, Count, Count, Milliseconds, Milliseconds, list[Bucket], list[Count]]
MeasuredMessage = tuple[Count, Count, Count, Count, list[Part], dict[str, Any], dict[str, Any]]

Endpoint = tuple[str, str]  # name and request type
Ms = float | None
Sample = (
    tuple[Ms, Ms, Ms, bool] | tuple[Ms, Ms, Ms, bool, Ms]
)  # total, queue, app, failed, first byte


@dataclass(frozen=True)
class Order:
    """What to measure for a search: by the limit for all requests, and those of endpoints."""

    limit_ms: float
    selection: Selection = field(default_factory=Selection)
    endpoints: Mapping[str, float] = field(default_factory=dict)  # "METHOD NAME": limit in ms

    def as_message(self) -> list[Any]:
        """Return the form that travels with Locust's parsed options."""
        return [self.limit_ms, self.selection.text, dict(self.endpoints)]

    @classmethod
    def from_message(cls, message: list[Any]) -> Order:
        """Read what `as_message` wrote."""
        limit_ms, requests, endpoints = message
        return cls(float(limit_ms), Selection.parse(requests), endpoints)


@dataclass
class Measured:
    """Samples added up, by part of latency; `slow` took longer than the limit.

    `endpoints` are those with a limit of their own, by "METHOD NAME"; their samples count here too.
    `types` is what `Selection.matches` does not match, by request type, and counts nowhere else.
    """

    slow: int = 0
    failed: int = 0
    untimed: int = 0  # finished without a time, so that they are in no part
    dropped: int = 0  # of them, arrivals for which no request was sent
    parts: dict[str, Window] = field(default_factory=dict)
    endpoints: dict[str, Measured] = field(default_factory=dict)
    types: dict[str, Measured] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many finished."""
        return self.timed + self.untimed

    @property
    def timed(self) -> int:
        """How many finished with a time."""
        return self.parts["response"].count if "response" in self.parts else 0

    def add(self, other: Measured) -> None:
        """Add what *other* holds."""
        self.slow += other.slow
        self.failed += other.failed
        self.untimed += other.untimed
        self.dropped += other.dropped
        for name, window in other.parts.items():
            self.parts.setdefault(name, Window()).add(window)
        for mine, others in ((self.endpoints, other.endpoints), (self.types, other.types)):
            for key, figures in others.items():
                mine.setdefault(key, Measured()).add(figures)

    def fold(self) -> None:
        """Count all types."""
        for figures in self.types.values():
            self.add(figures)
        self.types = {}

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
        more = ({k: m.as_message() for k, m in d.items()} for d in (self.endpoints, self.types))
        return [self.slow, self.failed, self.untimed, self.dropped, rows, *more]

    @classmethod
    def from_message(cls, message: Any, within: bool = False) -> Measured:
        """Read what `as_message` wrote, or what is *within* such; raises ValueError otherwise."""
        slow, failed, untimed, dropped, rows, *more = convert(message, MeasuredMessage)
        if within and any(more):
            raise ValueError("figures of an endpoint have no endpoints of their own")
        windows = {name: Window.of(*figures) for name, *figures in rows}
        endpoints, types = ({k: cls.from_message(m, True) for k, m in d.items()} for d in more)
        read = cls(slow, failed, untimed, dropped, windows, endpoints, types)
        read.refuse_impossible()
        return read

    def refuse_impossible(self) -> None:
        """Raise ValueError where one figure contradicts another."""
        if self.slow > self.timed or max(self.failed, self.dropped) > self.requests:
            raise ValueError("more requests were slow, failed or dropped than there were")
        if any(sum(window.counts.values()) != window.count for window in self.parts.values()):
            raise ValueError("a histogram does not hold what was counted")


def measured(samples: Iterable[Sample], limit_ms: float) -> Measured:
    """Add up *samples*; parts are kept where they are plausible, as in the runs database."""
    names = ("response", "queue", "service", "receiving", "outside")
    values: dict[str, list[float]] = {name: [] for name in names}
    slow = failed = untimed = 0
    for total, queue, app, is_failed, *first_byte in samples:
        failed += is_failed
        if not isinstance(total, int | float) or not 0 <= total < MAX_MS:
            untimed += 1
            continue
        values["response"].append(total)
        slow += total > limit_ms
        before = total
        if first_byte and first_byte[0] is not None and 0 <= first_byte[0] <= total:
            before = first_byte[0]
            values["receiving"].append(total - before)
        queue, app, outside = plausible(queue, app, before)
        if app is not None:
            values["service"].append(app)
        if queue is not None and outside is not None:
            values["queue"].append(queue)
            values["outside"].append(outside)
    windows = {name: window_of(found, 0) for name, found in values.items() if found}
    return Measured(slow, failed, untimed, parts=windows)


def sorted_out(samples: Mapping[Endpoint, list[Sample]], order: Order) -> Measured:
    """Add up *samples* by what *order* says of their endpoints."""
    counting: list[Sample] = []
    types: dict[str, list[Sample]] = {}
    limited: dict[str, list[Sample]] = {}  # by their names as they are stored and shown
    for (raw_name, raw_type), found in samples.items():
        name, request_type = stored_name(str(raw_name)), stored_name(str(raw_type))
        endpoint = f"{request_type} {name}".strip()
        if endpoint in order.endpoints:
            limited.setdefault(endpoint, []).extend(found)
        if order.selection.matches(name, request_type):
            counting += found
        else:
            known = request_type in types or len(types) < MAX_TYPES
            types.setdefault(request_type if known else MORE_TYPES, []).extend(found)
    total = measured(counting, order.limit_ms)
    total.endpoints = {name: measured(limited[name], order.endpoints[name]) for name in limited}
    total.types = {kind: measured(found, order.limit_ms) for kind, found in types.items()}
    return total


class Recorder:
    """Adds up the samples of this process while a run needs it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._order = Order(inf)
        self.measures = False
        self._samples: dict[int, dict[Endpoint, list[Sample]]] = {}
        self._dropped: Counter[int] = Counter()  # arrivals of an open workload, by second
        environment.events.test_start.add_listener(self._on_start)
        environment.events.test_stop.add_listener(self._on_stop)

    def take(self) -> list[tuple[int, Measured]]:
        """Return what finished since the last call: (Unix second of completion, figures)."""
        taken, self._samples = self._samples, {}
        dropped, self._dropped = self._dropped, Counter()
        figures = [(second, sorted_out(found, self._order)) for second, found in taken.items()]
        return figures + [(second, self._not_sent(number)) for second, number in dropped.items()]

    def _not_sent(self, number: int) -> Measured:
        """Return *number* arrivals that were dropped: too slow, and failed."""
        figures = measured([(self._order.limit_ms * 2, None, None, True)] * number, 0)
        figures.dropped = number
        return figures

    def _on_start(self, **_: object) -> None:
        self._samples, self._dropped = {}, Counter()
        self._on_stop()
        if message := vars(self._environment.parsed_options).get(MEASURE_OPTION):
            self._order = Order.from_message(message)
            self.measures = True
            population.note_users_at_work()
            listen_first(self._environment.events.request, self._on_request)
            missed.counted.add_listener(self._on_counted)

    def _on_stop(self, **_: object) -> None:
        if self.measures:
            self.measures = False
            self._environment.events.request.remove_listener(self._on_request)
            missed.counted.remove_listener(self._on_counted)

    def _on_request(
        self,
        request_type: str = "",
        name: str = "",
        response_time: float | None = None,
        response: Any = None,
        exception: BaseException | None = None,
        **_: object,
    ) -> None:
        """Keep one sample, whatever it is made of."""
        try:
            queue, app = parts(timing_of(response, MEASUREMENT))
            first_byte = getattr(response, "first_byte_ms", None)
            sample: Sample = (response_time, queue, app, bool(exception), first_byte)
        except Exception:  # a custom client's objects may raise anything
            sample = (response_time, None, None, exception is not None)
        second = self._samples.setdefault(self._now(), {})
        second.setdefault((str(name), str(request_type)), []).append(sample)

    def _on_counted(self, environment: Environment, kind: str, number: int) -> None:
        """Count a dropped arrival against the service: it had no connection free."""
        if kind == missed.ARRIVALS_DROPPED and environment is self._environment:
            self._dropped[self._now()] += number

    def _now(self) -> int:
        return int(time.time() + clock.offset_s)


class Seconds:
    """All processes' figures of the last minutes, by second of completion (master's clock)."""

    def __init__(self) -> None:
        self._seconds: dict[int, Measured] = {}
        self.begin(Selection())

    def begin(self, selection: Selection) -> None:
        """Start over; *selection* says which requests count from now on."""
        self._seconds.clear()
        self._is_explicit = bool(selection.patterns)
        self._matched = 0
        self._others: Counter[str] = Counter()
        self.endpoints: Counter[str] = Counter()  # requests of those with a limit of their own

    def add(self, taken: Iterable[tuple[int, Measured]]) -> None:
        """Add what a process measured, and drop what is too old to matter."""
        for second, figures in taken:
            self._seconds.setdefault(second, Measured()).add(figures)
            self._matched += figures.requests - figures.dropped
            self._others.update({kind: m.requests for kind, m in figures.types.items()})
            self.endpoints.update({name: m.requests for name, m in figures.endpoints.items()})
        oldest = max(self._seconds, default=0) - KEPT_SECONDS
        for second in [second for second in self._seconds if second < oldest]:
            del self._seconds[second]

    def between(self, first: int, last: int) -> Measured:
        """Return the sum of the seconds from *first* to before *last*."""
        total = Measured()
        for second in range(first, last):
            if second in self._seconds:
                total.add(self._seconds[second])
        if self._all_count:
            total.fold()
        return total

    @property
    def counted(self) -> int:
        """How many requests that count have finished since `begin`."""
        return self._matched + (sum(self._others.values()) if self._all_count else 0)

    @property
    def left_out(self) -> dict[str, int]:
        """How many have finished that do not count, by their type."""
        return {} if self._all_count else dict(self._others)

    @property
    def _all_count(self) -> bool:
        """Whether there are no HTTP requests, and no selection was given."""
        return not self._is_explicit and not self._matched


def read(data: Any) -> list[tuple[int, Measured]]:
    """Return what a worker measured, by second; raises ValueError for anything else."""
    reported = convert(data, list[tuple[Second, Any]])
    return [(second, Measured.from_message(message)) for second, message in reported]


def attach(environment: Environment) -> Recorder | None:
    """Make this process measure when a run needs it; None for a master, which has no users."""
    if isinstance(environment.runner, MasterRunner):
        return None
    recorder = Recorder(environment)

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        data[MESSAGE_KEY] = [(second, m.as_message()) for second, m in recorder.take()]
        if recorder.measures and environment.runner:
            data[STARTING_KEY] = population.starting(environment.runner)

    if isinstance(environment.runner, WorkerRunner):
        environment.events.report_to_master.add_listener(on_report_to_master)
    return recorder


def gather(environment: Environment, seconds: Seconds) -> None:
    """Add what workers report to *seconds*; for a master."""

    def on_worker_report(data: dict[str, Any], **_: object) -> None:
        newest = clock.now() + AHEAD_SECONDS  # a future second would displace all others
        seconds.add(taken for taken in read(data.get(MESSAGE_KEY, [])) if taken[0] <= newest)

    environment.events.worker_report.add_listener(on_worker_report)
