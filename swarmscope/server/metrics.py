"""The default metrics of an app under the exporter's names, cheap to observe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from swarmscope.server.slots import FILES, observer

OBJECTIVE_S = 0.45
GROWTH = 1.2

DURATION = "flask_http_request_duration_seconds"
TOTAL = "flask_http_request"  # a counter's samples end in _total
EXCEPTIONS = "flask_http_request_exceptions"
QUEUE = "flask_http_request_queue_seconds"
IN_FLIGHT = "flask_http_requests_in_flight"
INFO = "flask_exporter_info"
FAMILIES = frozenset({DURATION, TOTAL, EXCEPTIONS, QUEUE, IN_FLIGHT, INFO})

Observe = Callable[[float], None]
Labels = tuple[str, str, str, bool, tuple[str, ...]]  # method, group, status, queue known, extra


def _ladder() -> tuple[float, ...]:
    """Return edges from 1 ms to 30 s that grow by 1.2, rounded to 3 digits, and the objective."""
    edges = {OBJECTIVE_S, 30.0}
    edge = 0.001
    while edge < 30.0:
        edges.add(float(f"{edge:.3g}"))
        edge *= GROWTH
    return tuple(sorted(edges))


BUCKETS = _ladder()


@dataclass(frozen=True)
class Parts:
    """Which metrics are on."""

    requests: bool = True
    queue_time: bool = True
    in_flight: bool = True


class Series(NamedTuple):
    """What requests of the same labels are counted in; None where a part is off."""

    count_request: Observe | None
    observe_app: Observe | None
    observe_queue: Observe | None


class SeriesByLabels(dict[Labels, Series]):
    """Where requests are counted, looked up in the metrics when labels come for the first time."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def __missing__(self, labels: Labels) -> Series:
        """Make the series of *labels*; only requests that tell their queue time have one for it."""
        method, group, status, queued, extra = labels
        metrics = self._metrics
        count_request = observe_app = observe_queue = None
        if metrics.total is not None and metrics.duration is not None:
            count_request = metrics.total.labels(method, status, *extra)._value.inc
            observe_app = observer(metrics.duration.labels(method, group, status, *extra))
        if metrics.queue is not None and queued:
            observe_queue = observer(metrics.queue.labels(group))
        series = self[labels] = Series(count_request, observe_app, observe_queue)
        return series


class Metrics:
    """The default metrics in one registry; a part that is off does not exist."""

    def __init__(
        self,
        registry: CollectorRegistry,
        buckets: Sequence[float],
        group: str,
        extra: Mapping[str, str],
        parts: Parts,
    ) -> None:
        """Make the metrics, with *group* and the names of *extra* as labels."""
        self.labels = (group, *extra)
        self.default_extra = tuple(extra.values())
        self.duration = self.total = self.exceptions = self.queue = self.in_flight = None
        if parts.requests:
            self.duration = Histogram(
                DURATION,
                "Flask HTTP request duration in seconds",
                ("method", group, "status", *extra),
                buckets=buckets,
                registry=registry,
            )
            self.total, self.exceptions = _counters(registry, ("method", "status", *extra))
        if parts.queue_time:
            self.queue = Histogram(
                QUEUE,
                "From the client's sending a request to the start of its handling, in seconds",
                (group,),
                buckets=buckets,
                registry=registry,
            )
        if parts.in_flight:
            self.in_flight = Gauge(
                IN_FLIGHT,
                "Requests that the app is working on, or streaming the answer to",
                multiprocess_mode="livesum",
                registry=registry,
            )
        self.series = SeriesByLabels(self)
        FILES.follow(self)

    def forget_cells(self) -> None:
        """Look up every series anew: its values have moved."""
        self.series.clear()

    def count_exception(self, method: str, extra: tuple[str, ...]) -> None:
        """Count a request that ended in an exception."""
        if self.exceptions is not None:
            self.exceptions.labels(method, "500", *extra).inc()


def _counters(registry: CollectorRegistry, labels: Sequence[str]) -> tuple[Counter, Counter]:
    total = Counter(TOTAL, "Total number of HTTP requests", labels, registry=registry)
    exceptions = Counter(
        EXCEPTIONS,
        "Total number of HTTP requests which resulted in an exception",
        labels,
        registry=registry,
    )
    return total, exceptions
