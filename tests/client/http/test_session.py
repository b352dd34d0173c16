"""Our session and Locust's: the same bytes are sent, and every answer is read alike."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import brotli
import gevent
import pytest
from gevent.server import StreamServer
from geventhttpclient.client import HTTPClientPool
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook

from swarmscope.client.http.propagation import SENT, TRACE
from swarmscope.client.http.session import Session

MARKS = {SENT: "t=1.0", TRACE: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MISSPELT = "redirect_resonse_codes" in FastHttpSession.request.__code__.co_names  # before 2.47
Visit = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Reply:
    """What the server sends for one request, piece by piece; then it may close the connection."""

    pieces: tuple[bytes, ...] = (OK,)
    closes: bool = False


@dataclass
class Server:
    """A server that plays a script, and what it was sent: (connection, request)."""

    port: int = 0
    script: Sequence[Reply] = ()
    received: list[tuple[int, bytes]] = field(default_factory=list)
    connections: int = 0

    def serve(self, sock: Any, _address: object) -> None:
        """Answer each request of a connection by the next reply of the script, then `OK`."""
        self.connections += 1
        number, file = self.connections, sock.makefile("rb")
        received = self.received  # of this session, not of the next
        while request := self._read(file):
            reply = dict(enumerate(self.script)).get(len(received), Reply())
            received.append((number, request))
            with contextlib.suppress(OSError):  # the client may have closed it
                for piece in reply.pieces:
                    sock.sendall(piece)
                    if piece is not reply.pieces[-1]:
                        gevent.sleep(0.0005)
            if reply.closes:
                break
        file.close()
        sock.close()

    def _read(self, file: Any) -> bytes:
        head, length = b"", 0
        with contextlib.suppress(OSError):
            while line := file.readline():
                head += line
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
                if line == b"\r\n":
                    return head + (file.read(length) if length else b"")
        return head


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Serve until the tests end."""
    made = Server()
    with StreamServer(("127.0.0.1", 0), made.serve) as running:
        running.start()
        made.port = running.server_port
        yield made


def seen_of(response: Any, session: Any, told: Sequence[Any]) -> dict[str, Any]:
    """Return what a scenario may read of a response, and what its event said."""
    request = response.request
    return {
        "event": told,
        "status": response.status_code,
        "ok": response.ok,
        "content": response.content,
        "text": response.text,
        "encoding": response.encoding,
        "headers": list(response.headers.items()) if response.headers is not None else None,
        "url": response.url,
        "history": [hop.status_code for hop in getattr(response, "history", ())],
        "error": repr(getattr(response, "error", None)),
        "request": (request.method, request.url, sorted(request.headers.items()), request.body),
        "cookies": sorted((c.name, c.value, c.path) for c in session.cookiejar),
    }


def run(
    kind: type,
    server: Server,
    script: Sequence[Reply],
    visits: Sequence[Visit],
    **settings: Any,
) -> Any:
    """Return what *visits* in one session saw, and what the server was sent."""
    server.script, server.received, server.connections = script, [], 0
    events, told, seen = EventHook(), [], []

    def note(response_time: float, start_time: float, response: Any, **fields: Any) -> None:
        told.append(sorted((name, repr(value)) for name, value in fields.items()))

    events.add_listener(note)
    settings = {"headers": MARKS, "network_timeout": 20, **settings}
    session = kind(f"http://127.0.0.1:{server.port}", events, None, **settings)
    for method, path, options in visits:
        try:
            found: Any = session.request(method, path, **options)
            if options.get("catch_response"):
                with found:
                    found.failure("not liked") if found.status_code == 201 else found.success()
            seen.append(seen_of(found, session, told[-1:]))
        except Exception as error:
            seen.append(repr(error))
    session.client.clientpool.close()
    return {"seen": seen, "events": told, "received": server.received}


def assert_alike(
    server: Server, script: Sequence[Reply], visits: Sequence[Visit], **settings: Any
) -> Any:
    """Run *visits* with both sessions; return what Locust's saw."""
    expected = run(FastHttpSession, server, script, visits, **settings)
    found = run(Session, server, script, visits, **settings)
    for mine, theirs in zip(found["seen"], expected["seen"], strict=True):
        assert mine == theirs
    assert found["events"] == expected["events"]
    assert found["received"] == expected["received"]
    return expected


def reply(head: str, body: bytes = b"", closes: bool = False) -> Reply:
    """Return a reply with a status line and headers, separated by |."""
    lines = head.replace("|", "\r\n").encode("latin-1")
    return Reply((b"HTTP/1.1 " + lines + b"\r\n\r\n" + body,), closes)


VISITS: tuple[Visit, ...] = (
    ("GET", "/plain", {}),
    ("get", "/plain", {"name": "a name"}),
    ("GET", "/cookie", {}),
    ("GET", "/two-cookies", {}),
    ("GET", "/plain", {"context": {"a": 1}}),
    ("GET", "/only/this", {"headers": {"Cookie": "own=1", "X-Own": "é"}}),
    ("GET", "/moved", {}),
    ("GET", "/a/b/moved-relative", {}),
    ("GET", "/moved", {"allow_redirects": MISSPELT}),
    ("GET", "/forget", {}),
    ("GET", "/plain", {"params": {"q": "a b", "list": ["1", "2"]}}),
    ("GET", "/ümlaut/%2F?q=ä b&r=%20;p#fragment", {}),
    ("GET", "/{braces}?q=100%", {"headers": {"X-Braces": "{0} %s"}}),
    ("GET", "?only=query", {}),
    ("GET", "", {}),
    ("POST", "/plain", {"json": {"a": 1}}),
    ("POST", "/plain", {"json": {"a": 1}, "headers": {"content-type": "x/y", "accept": "z"}}),
    ("POST", "/plain", {"data": {"form": "field é"}}),
    ("POST", "/plain", {"data": {"form": "field"}, "headers": {"Content-Type": "x/y"}}),
    ("POST", "/moved-post", {"data": "text"}),
    ("POST", "/moved-307", {"data": "text"}),
    ("POST", "/plain", {"data": "é", "headers": {"Content-Type": "text/x"}}),
    ("POST", "/plain", {"data": "", "json": None}),
    ("POST", "/plain", {"data": b"bytes", "headers": {"Content-Length": "5", "Host": "other"}}),
    ("PUT", "/plain", {"data": b"bytes", "auth": ("user", "secret")}),
    ("PATCH", "/plain", {}),
    ("HEAD", "/plain", {}),
    ("OPTIONS", "/plain", {"catch_response": True}),
    ("GET", "/bad", {"headers": {"X-Bad": "a\r\nb"}}),
    ("GET", "/bad", {"headers": {"X Bad": "a"}}),
    ("GET", "/bad", {"headers": {"X-Bad": "\u20ac"}}),
    ("GET", "/number", {"headers": {"X-Number": 7, "User-Agent": "mine"}}),
    ("GET", "/list", {"headers": {"X-List": ["a", "b"]}}),
    ("BAD METHOD", "/", {}),
    ("GET", "//double", {}),
    ("GET", "/plain", {"stream": True}),
    ("GET", "http://127.0.0.1:1/refused", {}),
)


def test_the_same_bytes_are_sent(unmarked, server):
    """Cookies that come, stay, expire; redirects; parameters; odd paths; bodies; credentials."""
    empty = "|Content-Length: 0"
    special = {
        "/cookie": reply("200 OK|Set-Cookie: a=1; Path=/" + empty),
        "/two-cookies": reply("200 OK|Set-Cookie: b=2; Path=/only|X-Other: x" + empty),
        "/forget": reply("200 OK|Set-Cookie: a=; Path=/; Max-Age=0" + empty),
        "/moved": reply("302 Found|Location: /only/here?x=1#there" + empty),
        "/a/b/moved-relative": reply("302 Found|Location: ../elsewhere" + empty),
        "/moved-post": reply("303 See Other|Location: /plain" + empty),
        "/moved-307": reply("307 Moved|Location: /plain" + empty),
    }
    for visits in (VISITS, VISITS[::-1]):
        script: list[Reply] = []
        for method, path, _ in visits:
            script.append(special.get(path, Reply() if method != "HEAD" else reply("200 OK")))
        for visit, one in zip(visits, script, strict=True):
            found = assert_alike(server, [one], [visit])
            assert len(found["seen"]) == 1
    assert_alike(server, [special["/cookie"], special["/two-cookies"]], VISITS[2:8] * 2)
    found = assert_alike(server, [special["/cookie"], Reply(), special["/forget"]], [VISITS[0]] * 5)
    cookies = [b"Cookie: a=1" in request for _, request in found["received"]]
    assert cookies == [False, True, True, False, False]


def test_every_way_to_frame_an_answer(unmarked, server):
    """Bodies by length, in chunks, up to the end; none; compressed; too short and too long."""
    zipped, html = gzip.compress(b"zipped" * 99), "|Content-Type: text/html; charset=latin-1"
    chunks = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n"
    replies = [
        reply("200 OK|Content-Length: 3" + html, b"\xe4bc"),
        reply("200 OK|content-LENGTH:   3  |Connection: Keep-Alive", b"abc"),
        reply("200 OK|Content-Length: 3|Connection: close", b"abc", closes=True),
        reply("200 OK|Content-Length: 20000", b"x" * 20_000),
        reply("200 OK|Content-Length: 200000", b"x" * 200_000),
        reply("200 OK|Transfer-Encoding: chunked", chunks),
        reply("200 OK|Transfer-Encoding: chunked|Content-Length: 3", chunks, closes=True),
        reply("200 OK", b"up to the end", closes=True),
        reply("200 OK|Content-Length: 9", b"short", closes=True),
        reply("200 OK|Content-Length: 3", b"abcHTTP/1.1 200 OK\r\n\r\n", closes=True),
        reply("200 OK|Content-Length: 3|Content-Length: 3", b"abc", closes=True),
        reply("200 OK|Content-Length: 3|Content-Length: 4", b"abc", closes=True),
        reply(f"200 OK|Content-Encoding: gzip|Content-Length: {len(zipped)}", zipped),
        reply("200 OK|Content-Encoding: gzip|Content-Length: 3", b"abc"),
        reply("204 No Content"),
        reply("204 No Content|Content-Length: 0"),
        reply("205 Reset Content|Content-Length: 0"),
        reply("304 Not Modified"),
        reply("200|Content-Length: 0"),
        reply("200 OK|Content-Length: 3|X: a|\tfolded", b"abc"),
        reply("200 OK|Content-Length: 3|X: \xe4|X-Empty:|x:2", b"abc"),
        reply("200 OK|Content-Length: 3|X: " + "long" * 20_000, b"abc"),
        reply("200 OK|Content-Length: 3|Bad Name: x", b"abc", closes=True),
        reply("100 Continue||HTTP/1.1 200 OK|Content-Length: 2", b"ok"),
        reply("404 Not Found|Content-Length: 4", b"none"),
        reply("209 Odd|Content-Length: 3", b"odd"),
        reply("500 Error|Content-Length: 3|Connection: close", b"bad", closes=True),
        reply("201 Created|Content-Length: 2|Location: /elsewhere", b"ok"),
        Reply((b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",), closes=True),
        Reply((b"nonsense\r\n\r\n",), closes=True),
        Reply((), closes=True),
        Reply((b"HTTP/1.1 200",), closes=True),
    ]
    options: dict[str, Any] = {"catch_response": True}
    for one in replies:
        for method in ("GET", "POST", "HEAD"):
            assert_alike(server, [one], [(method, "/", {}), (method, "/", options)])


def answer(dice: random.Random) -> Reply:
    """Return an answer of a server that is right mostly, in pieces."""
    body = dice.choice([b"", b"{}", b'{"a": 1}', b"x" * dice.randrange(9000)])
    lines = ["Server: test"] * dice.randrange(2)
    lines += dice.sample(
        ["Content-Type: application/json", "X-Odd:  a\tb ", "x-odd: \xe4", "X-Empty:",
         "Set-Cookie: a=1", "set-cookie: b=2; Path=/", "Server-Timing: app;dur=1", "Date: x"],
        dice.randrange(5),
    )  # fmt: skip
    closes = dice.random() < 0.1
    if closes:
        lines.append(dice.choice(["Connection: close", "connection: Close", "X: y"]))
    coding = dice.choice(["identity"] * 5 + ["gzip", "deflate", "br"])
    if coding != "identity":
        lines.append(f"Content-Encoding: {coding}")
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}
    body = pack.get(coding, bytes)(body)
    framing = dice.choice(["length"] * 6 + ["chunked", "end", "wrong"])
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif framing != "end":
        wrong = dice.choice([-3, -1, 1, 7]) if framing == "wrong" else 0
        lines.append(f"Content-Length: {max(len(body) + wrong, 0)}")
    dice.shuffle(lines)
    status = dice.choice(["200 OK"] * 9 + ["201 Made", "206 Part", "404 No", "503 Busy", "302 Go"])
    if status == "302 Go":
        lines.append(f"Location: {dice.choice(['/to', 'there', '//x:y/', ''])}")
    text = "".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status}", *lines, ""])
    data = bytearray(text.encode("latin-1") + body)
    if dice.random() < 0.1:
        data[dice.randrange(len(data))] = dice.randrange(256)
        closes = True
    at_once = closes or framing == "wrong"  # what comes too late meets the next request, or not
    number = 0 if at_once else dice.choice([0, 0, 0, 1, 3])
    cuts = sorted(dice.randrange(len(data)) for _ in range(number))
    edges = [0, *cuts, len(data)]
    pieces = [bytes(data[a:b]) for a, b in itertools.pairwise(edges) if a < b]
    return Reply(tuple(pieces), closes or framing in ("end", "wrong"))


def requests(dice: random.Random) -> list[Visit]:
    """Return some requests."""
    made: list[Visit] = []
    for _ in range(3):
        options: dict[str, Any] = {"catch_response": dice.random() < 0.3}
        method = dice.choice(["GET", "GET", "GET", "POST", "PUT"])
        if method in ("POST", "PUT"):
            options |= dice.choice([{"json": [1]}, {"data": "text"}, {"data": {"a": "b"}}, {}])
        options["allow_redirects"] = MISSPELT or dice.random() < 0.8
        made.append((method, dice.choice(["/", "/a?b=c"]), options))
    return made


def fuzz(server: Server, seeds: range) -> None:
    """Run a session with both clients for each seed."""
    for seed in seeds:
        dice = random.Random(seed)
        script = [answer(dice) for _ in range(4)]
        try:
            assert_alike(server, script, requests(dice))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def test_random_answers_in_random_pieces(unmarked, server):
    """Whatever a server sends, both sessions see the same, and send the same afterwards."""
    fuzz(server, range(60))


@pytest.mark.proof
def test_many_random_answers(unmarked, server):
    """The same, with other answers each time."""
    first = int(os.environ.get("FUZZ_SEED", random.randrange(1 << 30)))
    fuzz(server, range(first, first + 3_000))


def test_a_server_that_says_nothing_or_half(unmarked, server):
    """A time-out, before the head, within it and within the body."""
    half = reply("200 OK|Content-Length: 9", b"half")
    for silent in (Reply(()), Reply((b"HTTP/1.1 2",)), half):
        for method in ("GET", "POST"):
            settings = {"network_timeout": 0.1, "max_retries": 0}
            found = assert_alike(server, [silent], [(method, "/", {})], **settings)
            assert "timed out" in str(found["events"])


def test_a_killed_request_leaves_its_place_to_the_next(server):
    """A user is killed while it waits: the connection is closed, and another may be opened."""
    for silent in (Reply(()), reply("200 OK|Content-Length: 9", b"half")):
        server.script, server.received, server.connections = [silent], [], 0
        session: Any = Session(f"http://127.0.0.1:{server.port}", EventHook(), None, concurrency=1)
        waiting = gevent.spawn(session.get, "/")
        while not server.received:
            gevent.sleep(0.001)
        gevent.sleep(0.01)
        waiting.kill()
        assert session.get("/").text == "ok"
        assert server.connections == 2


def test_what_a_tracer_wraps_is_called(server, monkeypatch):
    """Locust's way is taken if somebody has wrapped what the short cut leaves out."""
    stock, called = FastHttpSession.request, []

    def request(session: Any, *arguments: Any, **named: Any) -> Any:
        called.append(arguments)
        return stock(session, *arguments, **named)

    server.script, server.received, server.connections = (), [], 0
    session: Any = Session(f"http://127.0.0.1:{server.port}", EventHook(), None)
    assert session.get("/").text == "ok"
    monkeypatch.setattr(FastHttpSession, "request", request)
    assert session.get("/").text == "ok"
    assert called == [("GET", "/")]


def test_a_client_pool_is_shared(unmarked, server):
    """Sessions that share a pool share its connections."""
    pools = []
    for kind in (FastHttpSession, Session):
        server.script, server.received, server.connections = (), [], 0
        pool = HTTPClientPool(concurrency=2)
        for _ in range(3):
            session = kind(f"http://127.0.0.1:{server.port}", EventHook(), None, client_pool=pool)
            assert session.get("/").text == "ok"
        pools.append(server.connections)
        pool.close()
    assert pools == [1, 1]
