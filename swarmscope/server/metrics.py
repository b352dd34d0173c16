"""The default metrics of an app under the exporter's names, cheap to observe."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OBJECTIVE_S = 0.45
GROWTH = 1.2


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
    """Which parts of the instrumentation are on."""

    requests: bool = True
    queue_time: bool = True
    in_flight: bool = True
    server_timing: bool = True


class LeanHistogram(Histogram):
    """A histogram that finds its bucket by bisection and checks nothing on the way."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count *amount*; exemplars, which multiprocess mode cannot keep, are ignored."""
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)
        self._sum.inc(amount)


class Series:
    """What one kind of request is counted in: the metrics' children for its labels."""

    __slots__ = ("duration", "queue", "total")

    def __init__(
        self, duration: Histogram | None, total: Counter | None, queue: Histogram | None
    ) -> None:
        self.duration, self.total, self.queue = duration, total, queue

    def observe(self, app_s: float, queue_s: float | None) -> None:
        """Count a request that took *app_s* seconds, *queue_s* after it was sent if known."""
        if self.duration is not None and self.total is not None:
            self.duration.observe(app_s)
            self.total._value.inc(1)
        if self.queue is not None and queue_s is not None:
            self.queue.observe(queue_s)


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
        self.default_extra = tuple(extra.values())
        self._series: dict[tuple[str, ...], Series] = {}
        self.duration = self.total = self.exceptions = self.queue = self.in_flight = None
        if parts.requests:
            self.duration = LeanHistogram(
                "flask_http_request_duration_seconds",
                "Flask HTTP request duration in seconds",
                ("method", group, "status", *extra),
                buckets=buckets,
                registry=registry,
            )
            self.total, self.exceptions = _counters(registry, ("method", "status", *extra))
        if parts.queue_time:
            self.queue = LeanHistogram(
                "flask_http_request_queue_seconds",
                "From the client's sending a request to the start of its handling, in seconds",
                (group,),
                buckets=buckets,
                registry=registry,
            )
        if parts.in_flight:
            self.in_flight = Gauge(
                "flask_http_requests_in_flight",
                "Requests that the app is working on, or streaming the answer to",
                multiprocess_mode="livesum",
                registry=registry,
            )

    def series(self, method: str, group: str, status: str, extra: tuple[str, ...]) -> Series:
        """Return where requests of these labels are counted; *extra* are default labels."""
        key = (method, group, status, *extra)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(
                self.duration and self.duration.labels(*key),
                self.total and self.total.labels(method, status, *extra),
                self.queue and self.queue.labels(group),
            )
        return series

    def count_exception(self, method: str, extra: tuple[str, ...]) -> None:
        """Count a request that ended in an exception."""
        if self.exceptions is not None:
            self.exceptions.labels(method, "500", *extra).inc()


def _counters(registry: CollectorRegistry, labels: Sequence[str]) -> tuple[Counter, Counter]:
    total = Counter(
        "flask_http_request_total", "Total number of HTTP requests", labels, registry=registry
    )
    exceptions = Counter(
        "flask_http_request_exceptions_total",
        "Total number of HTTP requests which resulted in an exception",
        labels,
        registry=registry,
    )
    return total, exceptions
