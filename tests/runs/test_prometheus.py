"""Addresses of Prometheus that are none, and one that leads elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.answering import answering, moment

from swarmscope.runs.prometheus import Axis, Prometheus, Unavailable


@pytest.mark.parametrize(
    "url", ["http://ü..x", f"http://{'a' * 70}", "http://a b", "http://h:port", "http://\0", "x"]
)
def test_an_address_that_is_none_does_not_answer(url):
    """A run's options name it: whoever asks goes on with the next run."""
    with pytest.raises(Unavailable):
        Prometheus(url).at(0, "up")


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"result": [{"metric": {}, "values": [[1e999, "1"]]}]}}',
        b'{"x": ' + b"[" * 100_000,
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_prometheus_would_not_say_is_no_answer(body):
    axis = Axis(0.0, 2, 3)
    with answering(lambda form, _: body) as url, pytest.raises(Unavailable):
        [axis.values(line) for line in Prometheus(url).over(axis, "up")]


@contextmanager
def redirecting(to: str) -> Iterator[str]:
    """Run a server that sends everybody to another one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(302)
            self.send_header("Location", to)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    try:
        yield f"http://someone:secret@127.0.0.1:{server.server_port}"
    finally:
        thread.join()
        server.server_close()


def test_a_password_is_for_the_server_that_was_named():
    """Not for one to which that leads."""
    seen = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            body = moment({"job": "shop"})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    server.timeout = 5
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with redirecting(f"http://127.0.0.1:{server.server_port}/") as url:
        Prometheus(url).at(0, "up")
    thread.join()
    server.server_close()

    assert seen == [None]
