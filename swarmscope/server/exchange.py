"""The wrapper around a WSGI application that observes every request on its way through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, request
from werkzeug.wsgi import ClosingIterator

from swarmscope.server.headers import seconds_since

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from prometheus_flask_exporter import PrometheusMetrics

    from swarmscope.server.metrics import Metrics

METHODS = frozenset(  # RFC 9110, RFC 5789; a client may send any word
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
OTHER_METHOD = "OTHER"
UNMATCHED = "unmatched"  # no rule is called that: a rule starts with a slash
UNKNOWN = "unknown"  # a label that only a response could tell
LABELS_KEY = "swarmscope.labels"
RAISED_KEY = "swarmscope.raised"


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "app_s",
        "environ",
        "has_length",
        "queue_s",
        "request",
        "server_timing",
        "start_response",
        "started",
        "status",
    )

    def __init__(
        self, environ: WSGIEnvironment, start_response: StartResponse, server_timing: bool
    ) -> None:
        self.environ = environ
        self.start_response = start_response
        self.server_timing = server_timing
        sent = environ.get("HTTP_X_REQUEST_START")
        self.queue_s = None if sent is None else seconds_since(sent, time())
        self.request: Any = None
        self.status = ""
        self.has_length = False
        self.started = perf_counter()

    def answer(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Start the response: the app's part ends here, with its headers about to leave."""
        self.app_s = app_s = perf_counter() - self.started
        self.status = status[:3]
        self.request = self.environ.get("werkzeug.request")  # taken out once the app returns
        for name, _ in headers:
            if name == "Content-Length":
                self.has_length = True
                break
        if self.server_timing:
            timing = f"app;dur={app_s * 1e3:.3f}"
            if self.queue_s is not None:
                timing = f"queue;dur={self.queue_s * 1e3:.3f}, {timing}"
            headers.append(("Server-Timing", timing))
        return self.start_response(status, headers, exc_info)


class Meter:
    """A WSGI application that passes requests on to *app* and observes them."""

    def __init__(
        self,
        app: Flask,
        exporter: PrometheusMetrics,
        metrics: Metrics,
        unmeasured: Collection[str],
        group: Callable[[Any], str],
        server_timing: bool,
    ) -> None:
        self._app = app
        self._wsgi_app = app.wsgi_app
        self._excluded_paths = exporter.excluded_paths or ()
        self._metrics = metrics
        self._unmeasured = unmeasured
        self._group = group
        self._server_timing = server_timing
        self._in_flight = None if metrics.in_flight is None else metrics.in_flight._value

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on; count it when its answer stands."""
        if environ.get("PATH_INFO") in self._unmeasured:
            return self._wsgi_app(environ, start_response)
        exchange = Exchange(environ, start_response, self._server_timing)
        if self._in_flight is not None:
            self._in_flight.inc(1)
        try:
            body = self._wsgi_app(environ, exchange.answer)
        except BaseException:
            self._observe_failure(exchange)
            self._leave()
            raise
        self._observe(exchange)
        if exchange.has_length:
            self._leave()
            return body
        return ClosingIterator(body, self._leave)  # a stream: in flight until it is closed

    def note_exception(self, sender: Flask, **_: object) -> None:
        """Note that the app raised what none of its error handlers caught."""
        request.environ[RAISED_KEY] = request._get_current_object()  # type: ignore[attr-defined]

    def _leave(self) -> None:
        if self._in_flight is not None:
            self._in_flight.inc(-1)

    def _observe(self, exchange: Exchange) -> None:
        flask_request, environ = exchange.request, exchange.environ
        if flask_request is None:  # answered by a middleware between us and the app
            group = UNMATCHED
        elif self._is_untracked(flask_request):
            return
        else:
            group = self._group(flask_request)
        method = environ["REQUEST_METHOD"]
        if method not in METHODS:
            method = OTHER_METHOD
        extra = environ.get(LABELS_KEY, self._metrics.default_extra)
        series = self._metrics.series(method, group, exchange.status, extra)
        series.observe(exchange.app_s, exchange.queue_s)
        if RAISED_KEY in environ:
            self._metrics.count_exception(method, extra)

    def _observe_failure(self, exchange: Exchange) -> None:
        """Count what the app did not answer: the server's answer to it is a 500."""
        environ = exchange.environ
        if not exchange.status:
            exchange.app_s = perf_counter() - exchange.started
        exchange.status = "500"
        exchange.request = exchange.request or environ.get(RAISED_KEY) or self._matched(environ)
        environ[RAISED_KEY] = exchange.request
        self._observe(exchange)

    def _matched(self, environ: WSGIEnvironment) -> Request:
        """Return the request anew: the app lets go of its own when it fails."""
        context = self._app.request_context(environ)
        context.match_request()
        return context.request

    def _is_untracked(self, flask_request: Any) -> bool:
        marks = flask_request.__dict__  # where the exporter's decorators leave theirs
        if "prom_do_not_track" in marks or "prom_exclude_all" in marks:
            return True
        return any(pattern.match(flask_request.path) for pattern in self._excluded_paths)
