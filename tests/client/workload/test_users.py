"""What the drop-in users send, and that they send nothing else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import locust
import pytest
from locust.env import Environment

from swarmscope.client import clock
from swarmscope.client.workload import users

ADDED = {"X-Request-Start", "traceparent"}


class Mirror(BaseHTTPRequestHandler):
    """Remembers the headers of each request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((time.time(), dict(self.headers)))
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[ThreadingHTTPServer]:
    """Run a server that remembers what it was sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def client_of(base: type, server: ThreadingHTTPServer):
    """Return the client of a user of a class."""
    host = f"http://127.0.0.1:{server.server_port}"
    return type("Visitor", (base,), {"host": host})(Environment()).client


PAIRS = [(users.FastHttpUser, locust.FastHttpUser), (users.HttpUser, locust.HttpUser)]


@pytest.mark.parametrize(("ours", "stock"), PAIRS)
def test_two_headers_are_added(mirror, ours, stock):
    """Each request says when it was sent and has a trace of its own; the rest is Locust's."""
    for base in (ours, stock):
        client = client_of(base, mirror)
        client.get("/", headers={"X-Mine": "1"})
    (now, with_ours), (_, with_stock) = mirror.seen
    assert with_ours.keys() - with_stock.keys() == ADDED
    assert with_stock.items() <= with_ours.items()
    sent = re.fullmatch(r"t=(\d{10}\.\d{6})", with_ours["X-Request-Start"])
    assert sent
    assert 0 <= now - float(sent[1]) < 1
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", with_ours["traceparent"])


@pytest.mark.parametrize(("ours", "_stock"), PAIRS)
def test_the_response_knows_its_trace(mirror, ours, _stock):
    """The listener finds the trace id on the response, a different one each time."""
    client = client_of(ours, mirror)
    traces = [client.get("/").trace_id.hex() for _ in range(2)]
    assert traces == [headers["traceparent"][3:35] for _, headers in mirror.seen]
    assert traces[0] != traces[1]
    with client.get("/", catch_response=True) as response:
        assert response.trace_id.hex() == mirror.seen[-1][1]["traceparent"][3:35]


@pytest.mark.parametrize(("ours", "_stock"), PAIRS)
def test_own_headers_win(mirror, ours, _stock):
    """What a scenario sets itself is left alone; a malformed trace is none."""
    client = client_of(ours, mirror)
    mine = {"X-Request-Start": "t=1", "traceparent": f"00-{'ab' * 16}-{'1' * 16}-00"}
    assert client.get("/", headers=mine).trace_id == b"\xab" * 16
    assert mine.items() <= mirror.seen[-1][1].items()
    assert client.get("/", headers={"traceparent": "nonsense"}).trace_id is None


@pytest.mark.parametrize(("ours", "_stock"), PAIRS)
def test_own_headers_win_however_they_are_written(mirror, ours, _stock):
    """Names of headers know no case: a second one beside the scenario's would contradict it."""
    mine = {"x-request-start": "t=1", "Traceparent": f"00-{'cd' * 16}-{'1' * 16}-00"}
    assert client_of(ours, mirror).get("/", headers=mine).trace_id == b"\xcd" * 16
    ((_, headers),) = mirror.seen
    assert [n for n in headers if n.lower() in ("x-request-start", "traceparent")] == list(mine)


@pytest.mark.parametrize(("ours", "_stock"), PAIRS)
def test_a_failed_request_has_a_trace_too(mirror, ours, _stock):
    """Nobody listens: there is a response object all the same."""
    client = client_of(ours, mirror)
    client.base_url = "http://127.0.0.1:1"
    assert len(client.get("/").trace_id) == 16


def test_the_time_sent_is_by_the_masters_clock(mirror, monkeypatch):
    """A worker whose clock is off tells the service the master's time."""
    monkeypatch.setattr(clock, "offset_s", 600.0)
    client_of(users.FastHttpUser, mirror).get("/")
    ((now, headers),) = mirror.seen
    assert float(headers["X-Request-Start"][2:]) == pytest.approx(now + 600, abs=1)
