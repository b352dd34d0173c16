"""Each request is timed and counted once, however its response comes about."""

import re
import time

import pytest
from flask import Flask, Response, send_file
from support.instrumented import (
    DURATION,
    EXCEPTIONS,
    IN_FLIGHT,
    QUEUE,
    TOTAL,
    add_routes,
    count,
    samples,
    sent,
)
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, create_environ

from swarmscope.server import instrument

TIMING = re.compile(r"(?:queue;dur=(\d+\.\d{3}), )?app;dur=(\d+\.\d{3})(?:, cpu;dur=\d+\.\d{3})")


def test_the_app_part_is_the_time_until_the_response_object_exists(app):
    """A stream's body comes after its headers, so it is not in ``app``."""
    instrument(app)

    @app.get("/stream")
    def stream():
        time.sleep(0.05)

        def body():
            yield "a"
            time.sleep(0.2)
            yield "b"

        return Response(body())

    response = app.test_client().get("/stream", headers=sent(0.3))

    assert response.text == "ab"
    queue_ms, app_ms = map(float, TIMING.fullmatch(response.headers["Server-Timing"]).groups())
    assert 300 <= queue_ms < 400
    assert 50 <= app_ms < 150
    found = samples(app)
    assert found.total(f"{DURATION}_sum") == pytest.approx(app_ms / 1000, abs=1e-6)
    assert found.value(f"{QUEUE}_sum", url_rule="/stream") == pytest.approx(
        queue_ms / 1000, abs=1e-6
    )
    assert found.value(f"{QUEUE}_bucket", url_rule="/stream", le="0.41") == 1
    assert found.value(f"{QUEUE}_bucket", url_rule="/stream", le="0.285") == 0


@pytest.mark.parametrize("path", ["/items/1", "/items/404", "/nowhere", "/boom"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_every_response_says_what_it_took(app, path, method):
    """Errors too; without a start time there is no queue to speak of."""
    instrument(app)
    add_routes(app)

    response = app.test_client().open(path, method=method)

    queue_ms, app_ms = TIMING.fullmatch(response.headers["Server-Timing"]).groups()
    assert queue_ms is None
    assert 0 <= float(app_ms) < 5000
    assert f"{QUEUE}_count" not in {name for name, _ in samples(app)}


def test_the_apps_own_server_timing_stays(app):
    """Ours is added, nothing is replaced."""
    instrument(app)

    @app.get("/")
    def index():
        return "", {"Server-Timing": "db;dur=3"}

    first, second = app.test_client().get("/").headers.getlist("Server-Timing")

    assert first == "db;dur=3"
    assert TIMING.fullmatch(second)


def test_an_exception_is_a_500(app):
    """It is counted once in each metric, with the rule that was matched."""
    instrument(app)
    add_routes(app)

    assert app.test_client().get("/boom").status_code == 500

    found = samples(app)
    assert count(found, method="GET", status="500", url_rule="/boom") == 1
    assert found.value(TOTAL, method="GET", status="500") == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.value(IN_FLIGHT) == 0


def test_an_exception_that_leaves_the_app_is_a_500(app):
    """The server answers it so: with PROPAGATE_EXCEPTIONS, and for what is no Exception."""
    instrument(app)
    add_routes(app)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/exit")
    def leave():
        raise SystemExit(1)  # as gunicorn does in a worker that takes too long

    with pytest.raises(LookupError):
        app.test_client().get("/boom")
    with pytest.raises(SystemExit):
        app.test_client().get("/exit")

    found = samples(app)
    assert count(found, method="GET", status="500", url_rule="/boom") == 1
    assert count(found, method="GET", status="500", url_rule="/exit") == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 2
    assert found.value(IN_FLIGHT) == 0


def test_an_exception_in_teardown_is_a_500(app):
    """The response object was fine, but the client gets the server's 500 instead."""
    instrument(app)
    add_routes(app)

    @app.teardown_request
    def tear_down(error):
        raise RuntimeError("cannot clean up")

    with pytest.raises(RuntimeError):
        app.test_client().get("/items/1")

    app.teardown_request_funcs.clear()
    found = samples(app)
    assert count(found, method="GET", status="500", url_rule="/items/<int:number>") == 1
    assert found.total(TOTAL) == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.value(IN_FLIGHT) == 0


def test_an_error_handlers_answer_is_what_counts(app):
    """What a handler for all exceptions returns is no exception any more."""
    instrument(app)
    add_routes(app)
    app.register_error_handler(LookupError, lambda error: ("gone", 410))

    app.test_client().get("/boom")

    found = samples(app)
    assert count(found, method="GET", status="410", url_rule="/boom") == 1
    assert found.total(EXCEPTIONS) == 0


def test_in_flight_while_the_app_works_and_streams(app):
    """A stream is in flight until it is closed, also when the client goes away before its end."""
    exporter = instrument(app)

    def in_flight():
        return exporter.registry.get_sample_value(IN_FLIGHT)

    @app.get("/plain")
    def plain():
        return str(in_flight())

    @app.get("/stream")
    def stream():
        return Response(iter(["a", "b", "c"]))

    assert app.test_client().get("/plain").text == "1.0"
    assert in_flight() == 0

    response = app.test_client().get("/stream", buffered=False)
    assert next(response.response) == b"a"
    assert in_flight() == 1

    response.close()
    assert in_flight() == 0


def test_a_middleware_may_answer_instead_of_the_app(app):
    """One that was wrapped around the app before it was instrumented."""
    inner = app.wsgi_app

    def closed(environ, start_response):
        if environ["PATH_INFO"] == "/closed":
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        return inner(environ, start_response)

    app.wsgi_app = closed
    instrument(app)

    assert app.test_client().get("/closed").status_code == 503

    assert count(samples(app), method="GET", status="503", url_rule="unmatched") == 1


def test_a_middleware_may_call_the_app_when_its_body_is_read(app):
    """As WSGI allows: it is counted once its answer stands, and a failure is a 500."""
    inner = app.wsgi_app

    def late(environ, start_response):
        yield from inner(environ, start_response)

    app.wsgi_app = late
    exporter = instrument(app)
    add_routes(app)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    client = app.test_client()

    response = client.get("/items/1")
    assert TIMING.fullmatch(response.headers["Server-Timing"])
    response.close()
    broken = app.wsgi_app(create_environ("/boom"), lambda *_: None)
    with pytest.raises(LookupError):
        next(iter(broken))
    broken.close()

    def counted(name, **labels):
        return exporter.registry.get_sample_value(name, labels)

    rule = "/items/<int:number>"
    assert counted(f"{DURATION}_count", method="GET", status="200", url_rule=rule) == 1
    assert counted(f"{DURATION}_count", method="GET", status="500", url_rule="/boom") == 1
    assert counted(EXCEPTIONS, method="GET", status="500") == 1
    assert counted(IN_FLIGHT) == 0


def test_a_middleware_may_give_the_app_a_copy_of_the_environment(app):
    """Rule, exception and labels are found all the same."""
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: inner(dict(environ), start_response)
    instrument(app, default_labels={"size": lambda response: response.content_length})
    add_routes(app)
    rule = "/items/<int:number>"

    size = app.test_client().get("/items/1").headers["Content-Length"]
    app.test_client().get("/boom")

    found = samples(app)
    assert count(found, method="GET", status="200", url_rule=rule, size=size) == 1
    assert found.total(f"{DURATION}_count", status="500", url_rule="/boom") == 1
    assert found.total(EXCEPTIONS) == 1


class Wrapper:
    """A server's own wrapper of files."""

    def __init__(self, file, size=8192):
        self.file = file
        self.close = file.close

    def __iter__(self):
        return iter(self.file)


@pytest.mark.parametrize("kind", ["generator", "file", "whole"])
def test_a_stream_of_known_length_is_in_flight(app, tmp_path, kind):
    """Until it is closed; a file goes to the server as the server's own wrapper."""
    exporter = instrument(app)
    (tmp_path / "file").write_bytes(b"ab")

    @app.get("/")
    def index():
        if kind == "file":
            return send_file(tmp_path / "file")
        body = iter(["a", "b"]) if kind == "generator" else "ab"
        return Response(body, headers={"Content-Length": "2"})

    def in_flight():
        return exporter.registry.get_sample_value(IN_FLIGHT)

    environ = create_environ("/") | {"wsgi.file_wrapper": Wrapper}
    body = app.wsgi_app(environ, lambda *_: None)

    assert in_flight() == (kind != "whole")
    assert isinstance(body, Wrapper) == (kind == "file")
    assert b"".join(body) == b"ab"
    body.close()
    assert in_flight() == 0


def test_a_stream_whose_closing_fails_is_in_flight_no_more(app):
    """Whatever a callback of the app's raises."""
    exporter = instrument(app)

    @app.get("/stream")
    def stream():
        response = Response(iter(["a", "b"]))
        response.call_on_close(lambda: [].pop())
        return response

    response = app.test_client().get("/stream", buffered=False)
    with pytest.raises(IndexError):
        response.close()

    assert exporter.registry.get_sample_value(IN_FLIGHT) == 0


def test_the_root_of_a_mounted_app_is_measured(app):
    """Its path is empty, and so is that of an endpoint that is nowhere."""
    instrument(app, path="")
    app.add_url_rule("/", view_func=lambda: "ok")
    mounted = Client(DispatcherMiddleware(Flask("outer"), {"/inner": app.wsgi_app}))

    assert "Server-Timing" in mounted.get("/inner").headers
