"""The WSGI middleware that times and counts every request of an app."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, current_app, has_request_context, request
from werkzeug.wsgi import ClosingIterator

from swarmscope.server.components.breakdown import CURRENT, Breakdown
from swarmscope.server.headers import seconds_since
from swarmscope.server.held_places import CALLS_POST_REQUEST, HELD
from swarmscope.server.labels import METHODS, OTHER_METHOD
from swarmscope.server.outcome import (
    SERVER_ERROR,
    RaisedException,
    asks_for_websocket,
    became_websocket,
    raised,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from prometheus_flask_exporter import PrometheusMetrics

    from swarmscope.server.components.measuring import Components
    from swarmscope.server.labels import Observers
    from swarmscope.server.metrics import Metrics

UNMATCHED = "unmatched"  # cannot be a rule, which starts with a slash
UNTRACKED, EXCLUDED = "prom_do_not_track", "prom_exclude_all"  # set by the exporter's decorators
LABELS_KEY = "swarmscope.labels"
RAISED_KEY = "swarmscope.raised"
SWITCHED = "101"  # Switching Protocols: the status that the client of a websocket got


class RequestTimer:
    """Times one request, from its arrival to its response."""

    __slots__ = (
        "_middleware",
        "_start_response",
        "breakdown",
        "environ",
        "group",
        "queue_s",
        "request",
        "service_s",
        "started",
        "status",
        "streamed",
    )

    def __init__(
        self,
        middleware: Middleware,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        components: Components | None,
    ) -> None:
        self._middleware = middleware
        self.environ = environ
        self._start_response = start_response
        self.request: Any = None
        self.status = ""
        self.streamed = True
        self.group: str | None = None  # under which it was counted
        sent = environ.get("HTTP_X_REQUEST_START")
        self.queue_s = None if sent is None else seconds_since(sent, time())
        self.started = now = perf_counter()
        if HELD.on and CALLS_POST_REQUEST in environ:
            HELD.timers[HELD.identify()] = self
        self.breakdown: Breakdown | None = None
        if components is not None:
            self.breakdown = components.begin(environ, now)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Start the response, which ends the service time."""
        breakdown = self.breakdown
        if breakdown is not None:
            breakdown.end()
        self.service_s = service_s = perf_counter() - self.started
        self.status = status[:3]
        self.request = self.environ.get("werkzeug.request")  # removed once the app returns
        if getattr(self.request, "url_rule", None) is None:
            self._use_request_of_app()
        for name, _ in headers:
            if name == "Content-Length":
                self.streamed = False
                break
        middleware = self._middleware
        if middleware.server_timing:
            if self.queue_s is None:
                timing = "app;dur=%.3f" % (service_s * 1e3)
            else:  # one %, in half an f-string's time
                timing = "queue;dur=%.3f, app;dur=%.3f" % (self.queue_s * 1e3, service_s * 1e3)  # noqa: UP031
            if breakdown is not None:
                timing += middleware.components.timing(breakdown)  # type: ignore[union-attr]
            headers.append(("Server-Timing", timing))
        return self._start_response(status, headers, exc_info)

    def _use_request_of_app(self) -> None:
        """Use the app's own environment: a middleware may have passed it a copy."""
        if has_request_context() and current_app == self._middleware.app:
            self.request = request._get_current_object()  # type: ignore[attr-defined]
            self.environ = self.request.environ

    def body_s(self) -> float:
        """Return the seconds since the response was started."""
        return perf_counter() - self.started - self.service_s

    def add_held(self, seconds: float) -> None:
        """Add *seconds* to the time for which requests of this one's group hold a place."""
        middleware = self._middleware
        if middleware.add_held is not None:
            middleware.add_held[(self.group or middleware.group_of(self),)](seconds)

    def forget(self) -> None:
        """Stop measuring what runs here next, unless something else is measured by now."""
        if self.breakdown is not None and CURRENT.get() is self.breakdown:
            CURRENT.set(None)

    def end(self, status: str) -> None:
        """Set the *status* that the client got from the server instead of the app."""
        if not self.status:
            if self.breakdown is not None:
                self.breakdown.end()
            self.service_s = perf_counter() - self.started
        self.status = status


class EndCallback:
    """Calls *ended* once: when this is called, iterated over or deleted."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended: Callable[[], None] | None = ended

    def __call__(self) -> None:
        """Call *ended* unless it has been called."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def __iter__(self) -> Iterator[bytes]:
        """Call *ended* and yield nothing: this follows the last chunk of a body."""
        self()
        return iter(())

    __del__ = __call__


class StreamedBody:
    """A body that is read after the app has returned; *ended* is called at its end.

    Not all servers close a body, although WSGI requires it: one that was read to its end or that
    nothing refers to any more has ended, too.
    """

    def __init__(self, body: Iterable[bytes], ended: Callable[[], None]) -> None:
        self._body, self.end = body, EndCallback(ended)
        self._close: Callable[[], None] | None = getattr(body, "close", None)

    def __iter__(self) -> Iterator[bytes]:
        """Return the body's own iterator followed by the callback: no Python runs per chunk."""
        return chain(self._body, self.end)

    def close(self) -> None:
        """Close the body; raises what its `close` raises."""
        try:
            if self._close:
                self._close()
        finally:
            self.end()


class Middleware:
    """Passes requests on to *app* and observes them."""

    def __init__(
        self,
        app: Flask,
        exporter: PrometheusMetrics,
        metrics: Metrics,
        unmeasured: Collection[str],
        group: Callable[[Request], str] | None,
        server_timing: bool,
        components: Components | None,
    ) -> None:
        self.app = app
        self._wsgi_app = app.wsgi_app
        self._excluded_paths = exporter.excluded_paths or ()
        self._metrics, self._default_labels = metrics, metrics.default_labels
        self._observe_service, self._observe_queue = metrics.observe_service, metrics.observe_queue
        self._observe_body, self.add_held = metrics.observe_body, metrics.add_held
        self._unmeasured = unmeasured
        self._group = group
        self.server_timing = server_timing
        self.components = components
        in_flight = metrics.in_flight
        self._add_in_flight = None if in_flight is None else in_flight._value.inc

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on; count it once its response has started."""
        if environ.get("PATH_INFO") in self._unmeasured:
            return self._wsgi_app(environ, start_response)
        if "HTTP_UPGRADE" in environ and asks_for_websocket(environ):
            return self._pass_on_websocket(RequestTimer(self, environ, start_response, None))
        timer = RequestTimer(self, environ, start_response, self.components)
        add_in_flight = self._add_in_flight
        if add_in_flight is not None:
            add_in_flight(1)
        try:
            body = self._wsgi_app(environ, timer.start_response)
        except BaseException:
            if add_in_flight is not None:
                add_in_flight(-1)
            timer.end(SERVER_ERROR)
            timer.forget()
            self._observe_failure(timer)
            raise
        if not timer.status:  # a middleware that calls the app when its body is read
            return StreamedBody(body, lambda: self._observe_late(timer))
        self._observe(timer, self._observe_service)
        if timer.streamed or not _is_complete(body):
            return _with_end_callback(body, environ, lambda: self._end_stream(timer))
        if timer.breakdown is not None:
            CURRENT.set(None)
        if add_in_flight is not None:
            add_in_flight(-1)
        return body

    def _end_stream(self, timer: RequestTimer) -> None:
        """Note the end of the body of a response that has been counted."""
        timer.forget()
        if self._add_in_flight is not None:
            self._add_in_flight(-1)
        if timer.streamed and timer.group is not None and self._observe_body is not None:
            self._observe_body[(timer.group,)](timer.body_s())

    def note_exception(
        self, sender: Flask, exception: BaseException | None = None, **_: object
    ) -> None:
        """Note an exception that the app, or a framework in it, signals."""
        flask_request = request._get_current_object()  # type: ignore[attr-defined]
        flask_request.environ[RAISED_KEY] = raised(flask_request, exception)

    def _observe(self, timer: RequestTimer, observe_service: Observers | None) -> None:
        """Count a request: one lookup, then additions in place."""
        environ, flask_request, queue_s = timer.environ, timer.request, timer.queue_s
        group = UNMATCHED
        if flask_request is not None:  # else a middleware between this one and the app responded
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
        labels: tuple[str, ...] = (method, group, timer.status)
        if self._default_labels:
            labels += environ.get(LABELS_KEY, self._default_labels)
        timer.group = group
        if observe_service is not None:
            observe_service[labels](timer.service_s)
        if timer.breakdown is not None:
            self.components.count(  # type: ignore[union-attr]
                group, timer.breakdown, timer.service_s, method
            )
        if queue_s is not None and self._observe_queue is not None:
            self._observe_queue[(group,)](queue_s)
        if RAISED_KEY in environ and environ[RAISED_KEY].failed(timer.status):
            self._metrics.count_exception(labels)

    def _observe_late(self, timer: RequestTimer) -> None:
        """Count a request whose response started after the app had returned, or never."""
        timer.forget()
        if self._add_in_flight is not None:
            self._add_in_flight(-1)
        if timer.status:
            self._observe(timer, self._observe_service)
        else:
            timer.end(SERVER_ERROR)
            self._observe_failure(timer)

    def _observe_failure(self, timer: RequestTimer) -> None:
        self._find_request(timer)
        timer.environ[RAISED_KEY] = RaisedException(timer.request)
        self._observe(timer, self._observe_service)

    def group_of(self, timer: RequestTimer) -> str:
        """Return the group of a request that is not counted, or not yet."""
        flask_request: Any = timer.request or timer.environ.get("werkzeug.request")
        rule = getattr(flask_request, "url_rule", None)
        if rule is None:
            return UNMATCHED
        return self._group(flask_request) if self._group else str(rule.rule)

    def _pass_on_websocket(self, timer: RequestTimer) -> Iterable[bytes]:
        """Pass on a request for a websocket, never counted as in flight: it may last for hours."""
        try:
            body = self._wsgi_app(timer.environ, timer.start_response)
        except BaseException as error:
            self._observe_websocket(timer, error)
            raise
        if isinstance(body, list | tuple):  # unwrapped: a server may recognise its own by identity
            self._observe_websocket(timer, None)
            return body
        return StreamedBody(body, lambda: self._observe_websocket(timer, None))

    def _observe_websocket(self, timer: RequestTimer, error: BaseException | None) -> None:
        """Count an ended websocket as 101, without a duration; a refused one as any request.

        One that failed has no duration, either: it may have been open before.
        """
        self._find_request(timer)
        environ, status, only_count = timer.environ, timer.status, self._metrics.only_count
        if RAISED_KEY in environ and environ[RAISED_KEY].failed(status or SERVER_ERROR):
            timer.end(SERVER_ERROR)
            self._observe(timer, only_count)
        elif became_websocket(timer.request, status, error):
            timer.end(SWITCHED)
            self._observe(timer, only_count)
        elif status and error is None:
            self._observe(timer, self._observe_service)
        else:
            timer.end(SERVER_ERROR)
            environ[RAISED_KEY] = RaisedException(timer.request)
            self._observe(timer, only_count)

    def _find_request(self, timer: RequestTimer) -> None:
        """Restore the request of a failed timer: the app has dropped its own."""
        if timer.request is None:
            noted = timer.environ.get(RAISED_KEY)
            timer.request = noted.request if noted else self._match(timer.environ)

    def _match(self, environ: WSGIEnvironment) -> Request:
        """Return the request, created and matched again."""
        context = self.app.request_context(environ)
        context.match_request()
        return context.request

    def _is_excluded(self, path: str) -> bool:
        return any(pattern.match(path) for pattern in self._excluded_paths)


def _is_complete(body: Any) -> bool:
    """Return whether *body* is complete: a response of known length may still be streamed.

    werkzeug closes a response along with its body: that callback is the only way to the response.
    The response of an HTTPException contains another one.
    """
    try:
        while type(body) is ClosingIterator:
            owner = body._callbacks[-1].__self__  # type: ignore[attr-defined]
            body = getattr(owner, "response", owner)
    except (AttributeError, IndexError):
        return False
    return isinstance(body, list | tuple)


def _with_end_callback(
    body: Iterable[bytes], environ: WSGIEnvironment, ended: Callable[[], None]
) -> Iterable[bytes]:
    """Return *body* or a wrapper of it, so that *ended* is called when it is closed."""
    stream, file_wrapper = StreamedBody(body, ended), environ.get("wsgi.file_wrapper")
    if not isinstance(file_wrapper, type) or not isinstance(body, file_wrapper):
        return stream
    try:
        body.close = stream.close  # type: ignore[attr-defined]
    except AttributeError:  # a C type (bjoern, mod_wsgi): cannot observe what the server does then
        stream.end()
    return body  # unwrapped, so that the server can hand it to the kernel
