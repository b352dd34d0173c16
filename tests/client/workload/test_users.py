"""What Locust's users and ours send, and that they send nothing else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import locust
import pytest
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from swarmscope.client import clock
from swarmscope.client.workload import users
from swarmscope.client.workload.marking import mark_requests

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
MARKED = [base for pair in PAIRS for base in pair]
marked = pytest.mark.parametrize(
    "base", MARKED, ids=lambda base: f"{base.__module__}.{base.__name__}"
)


@pytest.fixture(autouse=True)
def _marks() -> None:
    mark_requests()


@pytest.mark.parametrize(("ours", "stock"), PAIRS)
def test_two_headers_are_added(unmarked, mirror, ours, stock):
    """Each request says when it was sent and has a trace of its own; the rest is Locust's."""
    client_of(stock, mirror).get("/", headers={"X-Mine": "1"})
    mark_requests()
    for base in (ours, stock):
        client_of(base, mirror).get("/", headers={"X-Mine": "1"})

    (_, without), *seen = mirror.seen
    assert len(seen) == 2
    for now, headers in seen:
        assert headers.keys() - without.keys() == ADDED
        assert without.items() <= headers.items()
        sent = re.fullmatch(r"t=(\d{10}\.\d{6})", headers["X-Request-Start"])
        assert sent
        assert 0 <= now - float(sent[1]) < 1
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])


class Session(HttpSession):
    """A scenario's own."""

    def request(self, method, url, **options):
        """Send a header of its own."""
        return super().request(method, url, headers={"X-Mine": "1"}, **options)


class FastSession(FastHttpSession):
    """The same for the other client."""

    def request(self, method, url, **options):
        """Send a header of its own."""
        return super().request(method, url, headers={"X-Mine": "1"}, **options)


@pytest.mark.parametrize("session", [Session, FastSession])
def test_a_scenarios_own_session_is_marked_too(mirror, session):
    """Put in place of a user's client, or used by a user without one; its class stays."""
    user = client_of(locust.HttpUser, mirror).user
    reported: list[dict] = []
    user.environment.events.request.add_listener(lambda **fields: reported.append(fields))
    user.client = session(user.host, user.environment.events.request, user)
    user.client.get("/away")

    assert type(user.client) is session
    assert [headers["X-Mine"] for _, headers in mirror.seen] == ["1", "1"]
    assert all(headers.keys() >= ADDED for _, headers in mirror.seen)
    (response,) = (fields["response"] for fields in reported)
    assert response.first_byte_ms > 0


def test_hooks_of_a_scenario_are_called_as_without_swarmscope(mirror):
    """Those of the session and those of one request; the session's own list stays."""
    client = client_of(locust.HttpUser, mirror)
    called: list[str] = []
    client.hooks = {"response": [lambda response, **_: called.append("session")]}
    client.get("/")
    client.get("/", hooks={"response": lambda response, **_: called.append("request")})
    with client.get("/", stream=True, catch_response=True) as response:
        response.failure("not what was expected")

    assert called == ["session", "request", "session"]
    assert len(client.hooks["response"]) == 1
    assert response.first_byte_ms > 0


@marked
def test_the_response_knows_its_trace(mirror, base):
    """The listener finds the trace id on the response, a different one each time."""
    client = client_of(base, mirror)
    traces = [client.get("/").trace_id.hex() for _ in range(2)]
    assert traces == [headers["traceparent"][3:35] for _, headers in mirror.seen]
    assert traces[0] != traces[1]
    with client.get("/", catch_response=True) as response:
        assert response.trace_id.hex() == mirror.seen[-1][1]["traceparent"][3:35]


@marked
def test_own_headers_win(mirror, base):
    """What a scenario sets itself is left alone; a malformed trace is none."""
    client = client_of(base, mirror)
    mine = {"X-Request-Start": "t=1", "traceparent": f"00-{'ab' * 16}-{'1' * 16}-00"}
    assert client.get("/", headers=mine).trace_id == b"\xab" * 16
    assert mine.items() <= mirror.seen[-1][1].items()
    assert client.get("/", headers={"traceparent": "nonsense"}).trace_id is None


@marked
def test_own_headers_win_however_they_are_written(mirror, base):
    """Names of headers know no case: a second one beside the scenario's would contradict it."""
    start, trace = "x-request-start", "Traceparent"
    mine = {start: "t=1", trace: f"00-{'cd' * 16}-{'1' * 16}-00"}
    assert client_of(base, mirror).get("/", headers=mine).trace_id == b"\xcd" * 16
    ((_, headers),) = mirror.seen
    assert [n for n in headers if n.lower() in (start, trace.lower())] == [start, trace]


@marked
def test_a_failed_request_has_a_trace_too(mirror, base):
    """Nobody listens: there is a response object all the same."""
    client = client_of(base, mirror)
    client.base_url = "http://127.0.0.1:1"
    assert len(client.get("/").trace_id) == 16


def test_the_time_sent_is_by_the_masters_clock(mirror, monkeypatch):
    """A worker whose clock is off tells the service the master's time."""
    monkeypatch.setattr(clock, "offset_s", 600.0)
    client_of(users.FastHttpUser, mirror).get("/")
    ((now, headers),) = mirror.seen
    assert float(headers["X-Request-Start"][2:]) == pytest.approx(now + 600, abs=1)
