"""The wrapper around a WSGI application that observes every request on its way through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, current_app, has_request_context, request
from werkzeug.wsgi import ClosingIterator

from swarmscope.server.headers import seconds_since
from swarmscope.server.outcome import (
    SERVER_ERROR,
    Raised,
    asks_for_websocket,
    became_websocket,
    raised,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from prometheus_flask_exporter import PrometheusMetrics

    from swarmscope.server.metrics import Metrics, Observers

METHODS = frozenset(  # RFC 9110, RFC 5789; a client may send any word
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
OTHER_METHOD = "OTHER"
UNMATCHED = "unmatched"  # no rule is called that: a rule starts with a slash
UNTRACKED, EXCLUDED = "prom_do_not_track", "prom_exclude_all"  # the exporter's decorators' marks
LABELS_KEY = "swarmscope.labels"
RAISED_KEY = "swarmscope.raised"
SWITCHED = "101"  # Switching Protocols: what the client of a websocket was answered


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_app",
        "_headers_leave",
        "_server_timing",
        "_started",
        "app_s",
        "environ",
        "group",
        "queue_s",
        "request",
        "status",
        "streamed",
    )

    def __init__(
        self,
        app: Flask,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        server_timing: bool,
    ) -> None:
        self._app = app
        self.environ = environ
        self._headers_leave = start_response
        self._server_timing = server_timing
        self.request: Any = None
        self.status = ""
        self.streamed = True
        self.group: str | None = None  # by which it was counted
        sent = environ.get("HTTP_X_REQUEST_START")
        self.queue_s = None if sent is None else seconds_since(sent, time())
        self._started = perf_counter()

    def answer(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Start the response: the app's part of its latency ends here."""
        self.app_s = app_s = perf_counter() - self._started
        self.status = status[:3]
        self.request = self.environ.get("werkzeug.request")  # taken out once the app returns
        if getattr(self.request, "url_rule", None) is None:
            self._look_elsewhere()
        for name, _ in headers:
            if name == "Content-Length":
                self.streamed = False
                break
        if self._server_timing:
            if self.queue_s is None:
                timing = "app;dur=%.3f" % (app_s * 1e3)
            else:  # one %, in half an f-string's time
                timing = "queue;dur=%.3f, app;dur=%.3f" % (self.queue_s * 1e3, app_s * 1e3)  # noqa: UP031
            headers.append(("Server-Timing", timing))
        return self._headers_leave(status, headers, exc_info)

    def _look_elsewhere(self) -> None:
        """Go by the app's own environment: a middleware may have given it a copy."""
        if has_request_context() and current_app == self._app:
            self.request = request._get_current_object()  # type: ignore[attr-defined]
            self.environ = self.request.environ

    def body_s(self) -> float:
        """Return the seconds since the headers left."""
        return perf_counter() - self._started - self.app_s

    def end(self, status: str) -> None:
        """Take it that the client got *status*, not from the app."""
        if not self.status:
            self.app_s = perf_counter() - self._started
        self.status = status


class Ending:
    """Calls *ended* once: when it is called itself, iterated over, or dropped."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended: Callable[[], None] | None = ended

    def __call__(self) -> None:
        """Call *ended* unless it has been called."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def __iter__(self) -> Iterator[bytes]:
        """End, and yield nothing: this stands behind the last chunk of a body."""
        self()
        return iter(())

    __del__ = __call__


class Stream:
    """A body that is read after the app has returned; *ended* is called however that ends.

    Not all servers close a body, as WSGI has them do: one that was read to its end has ended too,
    and so has one that nobody holds any more.
    """

    def __init__(self, body: Iterable[bytes], ended: Callable[[], None]) -> None:
        self._body, self.end = body, Ending(ended)
        self._close: Callable[[], None] | None = getattr(body, "close", None)

    def __iter__(self) -> Iterator[bytes]:
        """Return the body's own iterator and the end behind it: no Python runs per chunk."""
        return chain(self._body, self.end)

    def close(self) -> None:
        """Close the body; raises what its own `close` does."""
        try:
            if self._close:
                self._close()
        finally:
            self.end()


class Meter:
    """A WSGI application that passes requests on to *app* and observes them."""

    def __init__(
        self,
        app: Flask,
        exporter: PrometheusMetrics,
        metrics: Metrics,
        unmeasured: Collection[str],
        group: Callable[[Request], str] | None,
        server_timing: bool,
    ) -> None:
        self._app = app
        self._wsgi_app = app.wsgi_app
        self._excluded_paths = exporter.excluded_paths or ()
        self._metrics, self._default_labels = metrics, metrics.default_labels
        self._observe_app, self._observe_queue = metrics.observe_app, metrics.observe_queue
        self._observe_body = metrics.observe_body
        self._unmeasured = unmeasured
        self._group = group
        self._server_timing = server_timing
        in_flight = metrics.in_flight
        self._add_in_flight = None if in_flight is None else in_flight._value.inc

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on; count it when its answer stands."""
        if environ.get("PATH_INFO") in self._unmeasured:
            return self._wsgi_app(environ, start_response)
        exchange = Exchange(self._app, environ, start_response, self._server_timing)
        if "HTTP_UPGRADE" in environ and asks_for_websocket(environ):
            return self._pass_on_websocket(exchange)
        add_in_flight = self._add_in_flight
        if add_in_flight is not None:
            add_in_flight(1)
        try:
            body = self._wsgi_app(environ, exchange.answer)
        except BaseException:
            if add_in_flight is not None:
                add_in_flight(-1)
            exchange.end(SERVER_ERROR)
            self._observe_failure(exchange)
            raise
        if not exchange.status:  # a middleware calls the app only when its body is read
            return Stream(body, lambda: self._observe_late(exchange))
        self._observe(exchange, self._observe_app)
        if exchange.streamed or not _is_whole(body):
            return _followed(body, environ, lambda: self._end_stream(exchange))
        if add_in_flight is not None:
            add_in_flight(-1)
        return body

    def _end_stream(self, exchange: Exchange) -> None:
        """Note that the body of a response that counts already has ended."""
        if self._add_in_flight is not None:
            self._add_in_flight(-1)
        if exchange.streamed and exchange.group is not None and self._observe_body is not None:
            self._observe_body[(exchange.group,)](exchange.body_s())

    def note_exception(
        self, sender: Flask, exception: BaseException | None = None, **_: object
    ) -> None:
        """Note what the app, or a framework in it, says was raised."""
        flask_request = request._get_current_object()  # type: ignore[attr-defined]
        flask_request.environ[RAISED_KEY] = raised(flask_request, exception)

    def _observe(self, exchange: Exchange, observe_app: Observers | None) -> None:
        """Count an exchange: one look-up, then additions in place."""
        environ, flask_request, queue_s = exchange.environ, exchange.request, exchange.queue_s
        group = UNMATCHED
        if flask_request is not None:  # else a middleware between us and the app has answered
            marks = flask_request.__dict__
            if UNTRACKED in marks or EXCLUDED in marks:
                return
            if self._excluded_paths and self._is_excluded(flask_request.path):
                return
            rule = marks.get("url_rule")
            if rule is not None:
                group = self._group(flask_request) if self._group else rule.rule
        method = environ["REQUEST_METHOD"]
        if method not in METHODS:
            method = OTHER_METHOD
        labels: tuple[str, ...] = (method, group, exchange.status)
        if self._default_labels:
            labels += environ.get(LABELS_KEY, self._default_labels)
        exchange.group = group
        if observe_app is not None:
            observe_app[labels](exchange.app_s)
        if queue_s is not None and self._observe_queue is not None:
            self._observe_queue[(group,)](queue_s)
        if RAISED_KEY in environ and environ[RAISED_KEY].failed(exchange.status):
            self._metrics.count_exception(labels)

    def _observe_late(self, exchange: Exchange) -> None:
        """Count an exchange whose answer began after the app had returned, or never did."""
        if self._add_in_flight is not None:
            self._add_in_flight(-1)
        if exchange.status:
            self._observe(exchange, self._observe_app)
        else:
            exchange.end(SERVER_ERROR)
            self._observe_failure(exchange)

    def _observe_failure(self, exchange: Exchange) -> None:
        self._find_request(exchange)
        exchange.environ[RAISED_KEY] = Raised(exchange.request)
        self._observe(exchange, self._observe_app)

    def _pass_on_websocket(self, exchange: Exchange) -> Iterable[bytes]:
        """Pass on a request for a websocket, which is never in flight: it may stay for hours."""
        try:
            body = self._wsgi_app(exchange.environ, exchange.answer)
        except BaseException as error:
            self._observe_websocket(exchange, error)
            raise
        if isinstance(body, list | tuple):  # as it is: a server may know its own by identity
            self._observe_websocket(exchange, None)
            return body
        return Stream(body, lambda: self._observe_websocket(exchange, None))

    def _observe_websocket(self, exchange: Exchange, error: BaseException | None) -> None:
        """Count a websocket that has ended as 101 and without a duration; one refused, as ever.

        Nobody can say whether one that failed had been open before: it has no duration either.
        """
        self._find_request(exchange)
        environ, status, only_count = exchange.environ, exchange.status, self._metrics.only_count
        if RAISED_KEY in environ and environ[RAISED_KEY].failed(status or SERVER_ERROR):
            exchange.end(SERVER_ERROR)
            self._observe(exchange, only_count)
        elif became_websocket(exchange.request, status, error):
            exchange.end(SWITCHED)
            self._observe(exchange, only_count)
        elif status and error is None:
            self._observe(exchange, self._observe_app)
        else:
            exchange.end(SERVER_ERROR)
            environ[RAISED_KEY] = Raised(exchange.request)
            self._observe(exchange, only_count)

    def _find_request(self, exchange: Exchange) -> None:
        """Give a failed exchange its request back: the app lets go of its own."""
        if exchange.request is None:
            noted = exchange.environ.get(RAISED_KEY)
            exchange.request = noted.request if noted else self._matched(exchange.environ)

    def _matched(self, environ: WSGIEnvironment) -> Request:
        """Return the request anew."""
        context = self._app.request_context(environ)
        context.match_request()
        return context.request

    def _is_excluded(self, path: str) -> bool:
        return any(pattern.match(path) for pattern in self._excluded_paths)


def _is_whole(body: Any) -> bool:
    """Tell whether all of *body* is there already: a response of known length may yet be streamed.

    werkzeug closes a response along with its body, which is the only way from here to there. The
    response of an HTTPException has another one in it.
    """
    try:
        while type(body) is ClosingIterator:
            owner = body._callbacks[-1].__self__  # type: ignore[attr-defined]
            body = getattr(owner, "response", owner)
    except (AttributeError, IndexError):
        return False
    return isinstance(body, list | tuple)


def _followed(
    body: Iterable[bytes], environ: WSGIEnvironment, ended: Callable[[], None]
) -> Iterable[bytes]:
    """Return *body*, or what stands for it, such that *ended* is called when it is closed."""
    stream, file_wrapper = Stream(body, ended), environ.get("wsgi.file_wrapper")
    if not isinstance(file_wrapper, type) or not isinstance(body, file_wrapper):
        return stream
    try:
        body.close = stream.close  # type: ignore[attr-defined]
    except AttributeError:  # a type of C (bjoern, mod_wsgi): what the server does then is unseen
        stream.end()
    return body  # as it is, so that the server can hand it to the kernel
