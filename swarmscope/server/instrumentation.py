"""`instrument`: what a Flask app needs to be understood under load.

prometheus-flask-exporter keeps registry, decorators and endpoint. Its default metrics are switched
off and observed under the same names by one wrapper around the WSGI application, which costs a
fraction of the exporter's three Flask hooks and sees what they do not: the queue before the app.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from flask import Flask, got_request_exception, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.wsgi import ClosingIterator

from swarmscope.server.headers import seconds_since
from swarmscope.server.logs import add_trace_ids

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
METHODS = frozenset(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
)  # RFC 9110, 5789
OTHER_METHOD = "OTHER"
UNMATCHED_RULE = "unmatched"  # a rule starts with a slash


def instrument(
    app: Flask,
    *,
    buckets: Sequence[float] = BUCKETS,
    exclude: Collection[str] = (),
    path: str | None = "/metrics",
    registry: CollectorRegistry | None = None,
    requests: bool = True,
    queue_time: bool = True,
    in_flight: bool = True,
    server_timing: bool = True,
    trace_ids: bool = True,
    **exporter_options: Any,
) -> PrometheusMetrics:
    """Measure every request of *app*; return its exporter, for decorators and metrics of its own.

    *buckets* are histogram edges in seconds. *exclude* are URL paths that leave no trace, such as
    health checks. *path* is where the app itself exposes metrics when gunicorn's arbiter does not
    (see `swarmscope.server.gunicorn`); None for nowhere. *registry* is a new one by default, so
    that apps never collide. The flags switch parts off: the ``flask_http_request_*`` metrics,
    ``flask_http_request_queue_seconds``, ``flask_http_requests_in_flight``, the ``Server-Timing``
    header, and ``trace_id`` in log records. *exporter_options* go to the exporter.
    """
    served_elsewhere = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    exporter = PrometheusMetrics(
        app,
        path=None if served_elsewhere else path,
        export_defaults=False,
        registry=registry or CollectorRegistry(),
        **exporter_options,
    )
    unmeasured = frozenset(exclude) | {path}
    meter = Meter(exporter, buckets, requests, queue_time, in_flight)
    app.wsgi_app = meter.wrap(app.wsgi_app, unmeasured, server_timing)  # type: ignore[method-assign, assignment]
    if requests:
        exporter.info(
            "flask_exporter_info",
            "Information about the Prometheus Flask exporter",
            version=exporter.version,
        )
        got_request_exception.connect(meter.count_exception, app, weak=False)
    if trace_ids:
        add_trace_ids()
    return exporter


class Meter:
    """The default metrics of one app, and the wrapper that observes them."""

    def __init__(
        self,
        exporter: PrometheusMetrics,
        buckets: Sequence[float],
        requests: bool,
        queue_time: bool,
        in_flight: bool,
    ) -> None:
        registry = exporter.registry
        self._exporter = exporter
        self._bounds = [*buckets, float("inf")]
        self._seen: dict[tuple[str, str, str], Any] = {}
        self._duration = self._total = self._exceptions = self._queue = self._in_flight = None
        if requests:
            self._duration = Histogram(
                "flask_http_request_duration_seconds",
                "Flask HTTP request duration in seconds",
                ("method", "url_rule", "status"),
                buckets=buckets,
                registry=registry,
            )
            self._total = Counter(
                "flask_http_request_total",
                "Total number of HTTP requests",
                ("method", "status"),
                registry=registry,
            )
            self._exceptions = Counter(
                "flask_http_request_exceptions_total",
                "Total number of HTTP requests which resulted in an exception",
                ("method", "status"),
                registry=registry,
            )
        if queue_time:
            self._queue = Histogram(
                "flask_http_request_queue_seconds",
                "From the client's sending a request to the start of its handling, in seconds",
                ("url_rule",),
                buckets=buckets,
                registry=registry,
            )
        if in_flight:
            self._in_flight = Gauge(
                "flask_http_requests_in_flight",
                "Requests that the app is working on or streaming the answer of",
                multiprocess_mode="livesum",
                registry=registry,
            )

    def wrap(
        self, wsgi_app: WSGIApplication, unmeasured: Collection[str | None], server_timing: bool
    ) -> WSGIApplication:
        """Return *wsgi_app* measured."""

        def measured(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ.get("PATH_INFO") in unmeasured:
                return wsgi_app(environ, start_response)
            queue_s = seconds_since(environ.get("HTTP_X_REQUEST_START"), time())
            started = perf_counter()
            status, app_s = "500", 0.0
            streamed = False
            flask_request = None

            def answer(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
                nonlocal status, app_s, streamed, flask_request
                flask_request = environ["werkzeug.request"]  # gone once the context is popped
                app_s = perf_counter() - started
                status = line[:3]
                streamed = not any(name == "Content-Length" for name, _ in headers)
                if server_timing:
                    timing = f"app;dur={app_s * 1e3:.3f}"
                    if queue_s is not None:
                        timing = f"queue;dur={queue_s * 1e3:.3f}, {timing}"
                    headers.append(("Server-Timing", timing))
                return start_response(line, headers, *exc_info)

            if self._in_flight:
                self._in_flight.inc()
            try:
                body = wsgi_app(environ, answer)
            except BaseException:
                self._observe(environ, flask_request, "500", perf_counter() - started, queue_s)
                self._leave()
                raise
            self._observe(environ, flask_request, status, app_s, queue_s)
            if streamed and self._in_flight:
                return ClosingIterator(body, self._leave)
            self._leave()
            return body

        return measured

    def _leave(self) -> None:
        if self._in_flight:
            self._in_flight.dec()

    def _observe(
        self,
        environ: WSGIEnvironment,
        flask_request: Any,
        status: str,
        app_s: float,
        queue_s: float | None,
    ) -> None:
        if flask_request is not None and self._untracked(flask_request):
            return
        rule = flask_request and flask_request.url_rule
        key = (environ["REQUEST_METHOD"], rule.rule if rule else UNMATCHED_RULE, status)
        method = key[0] if key[0] in METHODS else OTHER_METHOD
        key = (method, key[1], status)
        if self._duration and self._total:
            self._duration.labels(*key).observe(app_s)
            self._total.labels(method, status).inc()
        if self._queue and queue_s is not None:
            self._queue.labels(key[1]).observe(queue_s)

    def _untracked(self, flask_request: Any) -> bool:
        marks = vars(flask_request)
        if "prom_do_not_track" in marks or "prom_exclude_all" in marks:
            return True
        excluded = self._exporter.excluded_paths
        return bool(excluded) and any(pattern.match(flask_request.path) for pattern in excluded)

    def count_exception(self, sender: Flask, **_: Any) -> None:
        """Count a request whose handler raised what no error handler caught."""
        if self._exceptions and not self._untracked(request):
            method = request.method if request.method in METHODS else OTHER_METHOD
            self._exceptions.labels(method, 500).inc()
