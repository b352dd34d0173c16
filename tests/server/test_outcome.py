"""Requests that end without a plain response: exceptions, websockets, streams."""

from __future__ import annotations

import gc

import pytest
from flask import Response, abort, got_request_exception, send_file
from support.instrumented import EXCEPTIONS, IN_FLIGHT, TOTAL, samples
from werkzeug.exceptions import HTTPException
from werkzeug.test import create_environ

from swarmscope.server import instrument

DURATION = "flask_http_request_duration_seconds_count"
QUEUE = "flask_http_request_queue_seconds_count"
UPGRADE = {"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade"}


class Api:
    """Answers all exceptions of its app as Flask-RESTful and RESTX do, which signal each first."""

    def __init__(self, app, answers):
        self._answers = answers
        app.handle_user_exception = self._answer
        self._app = app

    def _answer(self, error):
        got_request_exception.send(self._app, exception=error)
        if isinstance(error, HTTPException):
            return error.get_response()
        return Response("", self._answers.get(type(error), 500))


def raising(app):
    @app.get("/<int:status>")
    def answer(status):
        abort(status)

    @app.get("/<name>")
    def fail(name):
        raise {"key": KeyError, "value": ValueError}[name]


def test_what_a_framework_answers_is_no_exception(app):
    """Flask-RESTful signals its 404 and 405, and what it has an answer for; a bug is a 500."""
    instrument(app)
    raising(app)
    Api(app, answers={KeyError: 409})
    client = app.test_client()

    assert [client.get(f"/{what}").status_code for what in (404, 503, "key")] == [404, 503, 409]
    assert client.post("/404").status_code == 405
    assert samples(app).total(EXCEPTIONS) == 0

    assert client.get("/value").status_code == 500
    found = samples(app)
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.total(EXCEPTIONS) == 1
    assert found.total(TOTAL) == 5


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_page_for_errors_hides_no_exception(app, status):
    """Nothing has handled it: what Flask shows in its stead is of the app's choosing."""
    instrument(app)
    raising(app)
    app.register_error_handler(500, lambda error: ("sorry", status))

    assert app.test_client().get("/value").status_code == status
    assert samples(app).value(EXCEPTIONS, method="GET", status="500") == 1


def test_an_http_exception_that_is_trapped_is_an_exception(app):
    """As TRAP_HTTP_EXCEPTIONS wants it."""
    instrument(app)
    raising(app)
    app.config["TRAP_HTTP_EXCEPTIONS"] = True

    assert app.test_client().get("/404").status_code == 500
    assert samples(app).total(EXCEPTIONS) == 1


class Gone(Response):
    """What is left of a websocket under gunicorn."""

    def __call__(self, environ, start_response):
        raise StopIteration


class Empty(Response):
    """What is left of a websocket under gevent."""

    def __call__(self, environ, start_response):
        return []


class Late(Response):
    """The same, from a server that wants an iterator."""

    def __call__(self, environ, start_response):
        return iter(())


class Reset(Response):
    """What is left of a websocket under werkzeug's own server."""

    def __call__(self, environ, start_response):
        raise ConnectionError


def call(app, path, headers=UPGRADE, **environ):
    """Call *app* as a server does, to the end; return the status, "" without one."""
    seen = [""]
    made = create_environ(path, headers=headers) | environ

    def start_response(status, headers, exc_info=None):
        seen.append(status[:3])

    try:
        body = app(made, start_response)
        b"".join(body)
        getattr(body, "close", lambda: None)()
    except (StopIteration, ConnectionError):
        pass
    return seen[-1]


@pytest.mark.parametrize("response", [Gone, Empty, Late, Reset])
def test_a_websocket_is_counted_as_one(app, response):
    """As 101, which its client was answered; its life is no duration, and is not in flight."""
    exporter = instrument(app)
    during = []

    @app.route("/ws/<name>", websocket=True)
    def ws(name):
        during.append(exporter.registry.get_sample_value(IN_FLIGHT))
        return response()

    assert call(app, "/ws/a", {**UPGRADE, "X-Request-Start": "t=1"}) == ""

    found = samples(app)
    assert found.value(TOTAL, method="GET", status="101") == found.total(TOTAL) == 1
    assert found.total(DURATION) == found.total(EXCEPTIONS) == found.value(IN_FLIGHT) == 0
    assert during == [0]


def test_a_websocket_whose_end_is_a_response(app):
    """As under werkzeug's own server."""
    instrument(app)
    app.add_url_rule("/ws", view_func=lambda: "", websocket=True)

    assert call(app, "/ws") == "200"

    found = samples(app)
    assert found.value(TOTAL, method="GET", status="101") == found.total(TOTAL) == 1
    assert found.total(DURATION) == 0


def test_a_websocket_that_fails_is_an_exception_without_a_duration(app):
    """Nobody can say how long it had been open."""
    instrument(app)
    app.add_url_rule("/ws", view_func=lambda: {}["missing"], websocket=True)

    assert call(app, "/ws") == "500"

    found = samples(app)
    assert found.value(TOTAL, method="GET", status="500") == found.total(TOTAL) == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.total(DURATION) == 0


def test_a_server_that_cannot_speak_websocket_is_an_exception(app):
    """As Flask-SocketIO raises it from the middleware that it is."""
    instrument(app)
    raising(app)
    inner = app.wsgi_app._wsgi_app

    def refuse(environ, start_response):
        raise RuntimeError("not configured")

    app.wsgi_app._wsgi_app = refuse
    with pytest.raises(RuntimeError):
        call(app, "/ws")

    app.wsgi_app._wsgi_app = inner
    found = samples(app)
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.total(DURATION) == 0


@pytest.mark.parametrize(("path", "status"), [("/ws", "403"), ("/404", "400"), ("/no/", "404")])
def test_a_websocket_that_is_refused_is_a_request(app, path, status):
    """By its handler, or by Flask, whose other rules are none for websockets."""
    instrument(app)
    raising(app)
    app.add_url_rule("/ws", "ws", lambda: ("not you", 403), websocket=True)

    assert call(app, path) == status

    found = samples(app)
    assert found.total(DURATION, status=status) == found.total(TOTAL) == 1


@pytest.mark.parametrize("headers", [{**UPGRADE, "Upgrade": "h2c"}, {"Upgrade": "websocket"}])
def test_another_upgrade_is_no_websocket(app, headers):
    """A client may offer to go on in HTTP/2, or only say that it can do other things."""
    instrument(app)
    app.add_url_rule("/plain", "plain", lambda: "ok")

    assert call(app, "/plain", headers) == "200"

    assert samples(app).total(DURATION) == 1


@pytest.fixture(name="streaming")
def _streaming(app):
    """Return an app with a stream, and what says how many requests are in flight."""
    exporter = instrument(app)
    closed = []

    @app.get("/<kind>")
    def stream(kind):
        def body():
            yield b"a"
            yield b"b"
            if kind == "broken":
                raise OSError("gone")

        response = Response(body())
        response.call_on_close(lambda: closed.append(1))
        return response

    def in_flight():
        return exporter.registry.get_sample_value(IN_FLIGHT)

    return app, in_flight, closed


def body_of(app, path="/stream", **environ):
    return app.wsgi_app(create_environ(path) | environ, lambda *_: None)


def test_a_body_that_is_never_closed_is_in_flight_until_it_is_read(streaming):
    """asgiref reads a body to its end and does not close it."""
    app, in_flight, _ = streaming
    body = body_of(app)
    chunks = iter(body)

    assert (next(chunks), in_flight()) == (b"a", 1)
    assert (next(chunks), in_flight()) == (b"b", 1)
    assert next(chunks, None) is None
    assert in_flight() == 0


def test_a_body_that_is_dropped_is_in_flight_no_more(streaming):
    """Unread, half read, or broken: whoever had it has let go of it."""
    app, in_flight, _ = streaming
    unread, half, broken = body_of(app), iter(body_of(app)), iter(body_of(app, "/broken"))
    next(half)
    with pytest.raises(OSError, match="gone"):
        list(broken)
    assert in_flight() == 3

    del unread, half, broken
    gc.collect()
    assert in_flight() == 0


def test_a_body_ends_once(streaming):
    """Read to its end and closed, it has ended once; it is closed when the server says so."""
    app, in_flight, closed = streaming
    body = body_of(app)

    assert b"".join(body) == b"ab"
    assert closed == []
    body.close()
    del body
    gc.collect()
    assert closed == [1]
    assert in_flight() == 0


class Compiled:
    """A server's file wrapper of a type that takes no attributes, as one written in C."""

    __slots__ = ("file",)

    def __init__(self, file, size=8192):
        self.file = file

    def __iter__(self):
        return iter(self.file)

    def close(self):
        self.file.close()


def test_a_compiled_file_wrapper_goes_to_the_server_as_it_is(app, tmp_path):
    """So that the server can hand it to the kernel; what it does then nobody tells the app."""
    exporter = instrument(app)
    (tmp_path / "file").write_bytes(b"ab")
    app.add_url_rule("/f", view_func=lambda: send_file(tmp_path / "file"))

    body = body_of(app, "/f", **{"wsgi.file_wrapper": Compiled})

    assert type(body) is Compiled
    assert b"".join(body) == b"ab"
    body.close()
    assert exporter.registry.get_sample_value(IN_FLIGHT) == 0
    assert exporter.registry.get_sample_value(TOTAL, {"method": "GET", "status": "200"}) == 1
