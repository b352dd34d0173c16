"""The default metrics of an app, under the exporter's names and cheap to observe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from swarmscope.server.components.component_metrics import FAMILIES as COMPONENT_FAMILIES
from swarmscope.server.components.component_metrics import ComponentMetrics
from swarmscope.server.labels import Labels, Observe, Observers
from swarmscope.server.probe import PROBE
from swarmscope.server.slots import FILES, observer

OBJECTIVE_S = 0.45
SLO_VARIABLE = "SWARMSCOPE_SLO_P95_MS"
GROWTH = 1.2

DURATION = "flask_http_request_duration_seconds"
TOTAL = "flask_http_request"  # a counter's samples end in _total
EXCEPTIONS = "flask_http_request_exceptions"
QUEUE = "flask_http_request_queue_seconds"
BODY = "flask_http_response_body_seconds"
HELD = "flask_http_request_held_seconds"  # a counter, too
IN_FLIGHT = "flask_http_requests_in_flight"
INFO = "flask_exporter_info"
TOTAL_TEXT = "Total number of HTTP requests"
EXCEPTIONS_TEXT = "Total number of HTTP requests which resulted in an exception"
FAMILIES = COMPONENT_FAMILIES | {DURATION, TOTAL, EXCEPTIONS, QUEUE, BODY, HELD, IN_FLIGHT, INFO}


def _ladder(slo_ms: str | None) -> tuple[float, ...]:
    """Return edges from 1 ms to 30 s that grow by 1.2, rounded to 3 digits, and the objectives.

    Raises ValueError if *slo_ms* is not a positive number of milliseconds.
    """
    edges = {OBJECTIVE_S, 30.0}
    if slo_ms:
        edges.add(_seconds(slo_ms))
    edge = 0.001
    while edge < 30.0:
        edges.add(float(f"{edge:.3g}"))
        edge *= GROWTH
    return tuple(sorted(edges))


def _seconds(slo_ms: str) -> float:
    try:
        seconds = float(slo_ms) / 1000
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{SLO_VARIABLE} is not a positive number of milliseconds: {slo_ms!r}")
    return seconds


BUCKETS = _ladder(os.environ.get(SLO_VARIABLE))


@dataclass(frozen=True)
class Switches:
    """Which metrics exist."""

    requests: bool = True
    queue_time: bool = True
    in_flight: bool = True
    components: bool = True


class Metrics:
    """The default metrics in one registry; those that are switched off are None."""

    def __init__(
        self,
        registry: CollectorRegistry,
        buckets: Sequence[float],
        group: str,
        extra: Mapping[str, str],
        switches: Switches,
    ) -> None:
        """Create the metrics, with *group* and the names of *extra* as labels."""
        self.labels, self.buckets, self.switches = (group, *extra), tuple(buckets), switches
        self.default_labels = tuple(extra.values())
        requests, queue_time, in_flight = switches.requests, switches.queue_time, switches.in_flight
        labels = ("method", "status", *extra)
        self.duration = _duration(registry, buckets, group, extra) if requests else None
        self.total = Counter(TOTAL, TOTAL_TEXT, labels, registry=registry) if requests else None
        self.exceptions = (
            Counter(EXCEPTIONS, EXCEPTIONS_TEXT, labels, registry=registry) if requests else None
        )
        self.body = _body(registry, buckets, group) if requests else None
        self.held = _held(registry, group) if requests else None
        self.queue = _queue(registry, buckets, group) if queue_time else None
        self.in_flight = _in_flight(registry) if in_flight else None
        self.components = (
            ComponentMetrics(registry, buckets, group) if switches.components else None
        )
        self.observe_service = Observers(self._service_observer) if switches.requests else None
        self.only_count = Observers(self._counter) if switches.requests else None
        self.observe_body = Observers(self._body_observer) if switches.requests else None
        self.observe_queue = Observers(self._queue_observer) if switches.queue_time else None
        self.add_held = Observers(self._held_adder) if switches.requests else None
        FILES.add_keeper(self)

    def forget_cells(self) -> None:
        """Drop all observers: their values have moved."""
        every = (self.observe_service, self.only_count, self.observe_body, self.observe_queue)
        for observers in (*every, self.add_held):
            if observers is not None:
                observers.clear()

    def queued_seconds(self) -> float:
        """Return how long marked requests have been queued: it grows with each of them."""
        histograms: list[Any] = [] if self.queue is None else list(self.queue._metrics.values())
        return float(sum(histogram._sum.get() for histogram in histograms))

    def expect_marked(self) -> None:
        """Start the probe at the next marked request."""
        if self.observe_queue is not None:
            self.observe_queue.clear()

    def count_exception(self, labels: Labels) -> None:
        """Count a request that ended in an exception."""
        if self.exceptions is not None:
            method, _, _, *others = labels
            self.exceptions.labels(method, "500", *others).inc()

    def _service_observer(self, labels: Labels) -> Observe:
        """Return a function that counts a request and observes its service time."""
        assert self.duration is not None
        assert self.total is not None
        method, _, *others = labels
        return observer(self.duration.labels(*labels), self.total.labels(method, *others))

    def _counter(self, labels: Labels) -> Observe:
        """Return a function that counts a request without its service time."""
        assert self.total is not None
        method, _, *others = labels
        count = self.total.labels(method, *others).inc
        return lambda _: count()

    def _body_observer(self, labels: Labels) -> Observe:
        """Return a function that observes how long a streamed body took."""
        assert self.body is not None
        return observer(self.body.labels(*labels))

    def _queue_observer(self, labels: Labels) -> Observe:
        """Return a function that observes how long a request was queued: it is a marked one."""
        assert self.queue is not None
        PROBE.start(self)
        return observer(self.queue.labels(*labels))

    def _held_adder(self, labels: Labels) -> Observe:
        """Return a function that adds to the time for which requests hold a place."""
        assert self.held is not None
        add: Observe = self.held.labels(*labels)._value.inc
        return add


def _duration(
    registry: CollectorRegistry, buckets: Sequence[float], group: str, extra: Iterable[str]
) -> Histogram:
    return Histogram(
        DURATION,
        "Flask HTTP request duration in seconds",
        ("method", group, "status", *extra),
        buckets=buckets,
        registry=registry,
    )


def _body(registry: CollectorRegistry, buckets: Sequence[float], group: str) -> Histogram:
    return Histogram(
        BODY,
        "Seconds from a streamed response's headers to the end of its body",
        (group,),
        buckets=buckets,
        registry=registry,
    )


def _held(registry: CollectorRegistry, group: str) -> Counter:
    text = "Seconds for which requests held a worker, or one of its threads"
    return Counter(HELD, text, (group,), registry=registry)


def _queue(registry: CollectorRegistry, buckets: Sequence[float], group: str) -> Histogram:
    return Histogram(
        QUEUE,
        "Seconds from the client's sending of a request to the start of its handler",
        (group,),
        buckets=buckets,
        registry=registry,
    )


def _in_flight(registry: CollectorRegistry) -> Gauge:
    return Gauge(
        IN_FLIGHT,
        "Requests being handled, or whose response is being streamed",
        multiprocess_mode="livesum",
        registry=registry,
    )
