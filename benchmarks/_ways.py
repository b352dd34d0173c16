"""Ways to time a Flask app's requests and to add a header to their responses, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter, thread_time
from typing import Any

from flask import Flask, Response, request

from benchmarks._components import beyond, times
from benchmarks._observation import request_to

BEGAN = "benchmark.began"
Wsgi = Callable[[Any, Any], Any]


def header(began: float) -> tuple[str, str]:
    """Return the header of a request that *began* then (``perf_counter``)."""
    return "Server-Timing", f"app;dur={(perf_counter() - began) * 1e3:.3f}"


def nothing(app: Any) -> None:
    """Leave the app as it is: how far the others can be told apart."""


def layer(app: Any) -> None:
    """Pass requests on, and no more."""
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(environ, start)


def start_response(app: Any) -> None:
    """Replace `start_response`."""
    inner = app.wsgi_app

    def wsgi_app(environ: Any, start: Any) -> Any:
        began = perf_counter()

        def start_and_tell(status: str, headers: Any, *more: Any) -> Any:
            headers.append(header(began))
            return start(status, headers, *more)

        return inner(environ, start_and_tell)

    app.wsgi_app = wsgi_app


def noting_start(inner: Wsgi) -> Wsgi:
    """Note in the environment when a request began."""

    def wsgi_app(environ: Any, start: Any) -> Any:
        environ[BEGAN] = perf_counter()
        return inner(environ, start)

    return wsgi_app


def after_request(app: Any) -> None:
    """Use Flask's own hook."""
    app.wsgi_app = noting_start(app.wsgi_app)

    def tell(response: Response) -> Response:
        response.headers.add(*header(request.environ[BEGAN]))
        return response

    app.after_request(tell)


def response_class(app: Any) -> None:
    """Use a class of responses, which is not that of each response that an app returns."""
    app.wsgi_app = noting_start(app.wsgi_app)

    class Timed(Response):
        def get_wsgi_headers(self, environ: Any) -> Any:
            headers = super().get_wsgi_headers(environ)
            headers.add(*header(environ[BEGAN]))
            return headers

    app.response_class = Timed


def cpu_clock(app: Any) -> None:
    """Read the thread's CPU clock twice."""
    inner = app.wsgi_app

    def wsgi_app(environ: Any, start: Any) -> Any:
        thread_time()
        try:
            return inner(environ, start)
        finally:
            thread_time()

    app.wsgi_app = wsgi_app


WAYS = (nothing, layer, start_response, response_class, after_request, cpu_clock)


def measure(rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Yield each way and the µs of CPU of a request beyond a bare one."""
    requests = {"bare": _request(Flask("bare"))}
    for way in WAYS:
        app = Flask(way.__name__)
        way(app)
        requests[way.__name__] = _request(app)
    taken = times(requests, rounds)
    for way in WAYS:
        yield way.__name__, beyond(taken[way.__name__], taken["bare"])


def _request(app: Flask) -> Callable[[], object]:
    @app.get("/hello/<name>")
    def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    return request_to(app, "/hello/you")
