"""The lean client sends what Locust's own does, byte for byte."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook

from swarmscope.client.workload import transport

ANSWERS = {  # path: status and headers
    "/cookie": (200, {"Set-Cookie": "a=1; Path=/"}),
    "/two-cookies": (200, {"Set-Cookie": "b=2; Path=/only", "X-Other": "x"}),
    "/forget": (200, {"Set-Cookie": "a=; Path=/; Max-Age=0"}),
    "/moved": (302, {"Location": "/only/here?x=1#there"}),
    "/moved-relative": (302, {"Location": "../elsewhere"}),
    "/moved-post": (303, {"Location": "/plain"}),
}
VISITS = (
    ("GET", "/plain", {}),
    ("GET", "/plain", {}),
    ("GET", "/cookie", {}),
    ("GET", "/two-cookies", {}),
    ("GET", "/plain", {}),
    ("GET", "/only/this", {"headers": {"Cookie": "own=1", "X-Own": "é"}}),
    ("GET", "/moved", {}),
    ("GET", "/a/b/moved-relative", {}),
    ("GET", "/moved", {"allow_redirects": False}),
    ("GET", "/forget", {}),
    ("GET", "/plain", {"params": {"q": "a b", "list": ["1", "2"]}}),
    ("GET", "/ümlaut/%2F?q=ä b&r=%20;p", {}),
    ("GET", "?only=query", {}),
    ("GET", "", {}),
    ("POST", "/plain", {"json": {"a": 1}}),
    ("POST", "/plain", {"data": {"form": "field"}}),
    ("POST", "/moved-post", {"data": "text"}),
    ("PUT", "/plain", {"data": b"bytes", "auth": ("user", "secret")}),
    ("HEAD", "/plain", {}),
)


@dataclass
class Recorder:
    """A server and what it was sent."""

    port: int = 0
    received: list[tuple[str, list[tuple[str, str]], bytes]] = field(default_factory=list)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Serve until the test ends."""
    found = Recorder()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.received.append((self.requestline, self.headers.items(), body))
            path = self.path.partition("?")[0]
            status, headers = ANSWERS.get(path.removeprefix("/a/b"), (200, {}))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = do_PUT = do_HEAD = answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def visit(port: int, lean: bool) -> list[tuple[str, str, object]]:
    """Send all `VISITS` in one session; return name, final URL and error of each."""
    events = EventHook()
    seen: list[tuple[str, str, object]] = []
    events.add_listener(lambda name, url, exception, **_: seen.append((name, url, repr(exception))))
    session = FastHttpSession(f"http://127.0.0.1:{port}", events, None)
    if lean:
        transport.spare(session)
    for method, path, options in VISITS:
        session.request(method, path, **options)
    session.client.clientpool.close()
    return seen


def test_the_same_bytes_are_sent(unmarked, recorder):
    """Cookies that come, stay, expire; redirects; parameters; odd paths; bodies; credentials."""
    stock = visit(recorder.port, lean=False)
    expected, recorder.received = recorder.received, []

    assert visit(recorder.port, lean=True) == stock
    assert recorder.received == expected
    assert len(expected) > len(VISITS)  # redirects were followed
    assert sum(("Cookie", "a=1") in headers for _, headers, _ in expected) >= 2
    assert not any("a=1" in dict(headers).get("Cookie", "") for _, headers, _ in expected[-6:])
