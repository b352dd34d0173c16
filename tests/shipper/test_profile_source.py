"""A service that answers a question for a profile as nobody should."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from swarmscope.runs.profiles.model import CPU
from swarmscope.shipper import profile_source
from swarmscope.shipper.profile_source import NoProfile, ProfileSource

OURS = b"HTTP/1.0 400 Bad Request\r\n\r\nseconds must be a number\n"


@pytest.fixture
def hostile() -> Iterator[Callable[..., ProfileSource]]:
    """Return a function that returns a source whose service answers with parts, 0.05 s apart.

    The first question, whether it is one of ours, is answered as by one.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    answers: list[Iterator[bytes]] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, closing_quietly(peer):
                peer.recv(65536)
                for part in answers.pop(0):
                    peer.sendall(part)
                    time.sleep(0.05)

    def begin(*parts: Iterator[bytes], known: bool = True) -> ProfileSource:
        answers.extend([iter([OURS])] if known else [])
        answers.extend(parts)
        threading.Thread(target=serve, daemon=True).start()
        return ProfileSource("shop", f"127.0.0.1:{listener.getsockname()[1]}")

    with closing(listener):
        yield begin


class closing_quietly:
    """Ignores that the client has gone."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, OSError)


def drip(first: bytes) -> Iterator[bytes]:
    yield first
    while True:
        yield b"x"


HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize("first", [HEAD, b"HTTP/1.0 200 OK\r\nX-Header: ", b"HTT"])
def test_an_answer_without_an_end_is_given_up(hostile, monkeypatch, first):
    """However little comes at a time, in body and head."""
    monkeypatch.setattr(profile_source, "ANSWER_S", 0.5)

    with pytest.raises(NoProfile):
        hostile(drip(first)).take(CPU, 0.1)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"frames": [["f", "a.py", 1, true]], "stacks": [["/", [0], 1e999]]}',
        b'{"frames": [["f", "a.py", 1, true]], "stacks": [["/", [0], NaN]]}',
        b'{"frames": [["f", "a.py", 1, true]], "stacks": [["/", [0], -5]]}',
        b'{"frames": [["f", "a.py", 1, true]], "stacks": [["/", [-1], 5]]}',
        b'{"frames": [["f", "a.py", 1, true]], "stacks": [["/", [0], 1' + b"0" * 4000 + b"]]}",
        b'{"frames": [["f", "a.py", 1e300, true]], "stacks": []}',
        b"\xff\xfe",
        b"[1]",
        b'"text"',
    ],
)
def test_what_is_no_profile_is_refused(hostile, body):
    with pytest.raises(NoProfile):
        hostile(iter([HEAD + body])).take(CPU, 0.1)


def test_more_than_a_profile_can_be_is_not_read(hostile, monkeypatch):
    monkeypatch.setattr(profile_source, "MAX_ANSWER_BYTES", 1000)

    with pytest.raises(NoProfile, match="too long"):
        hostile(iter([HEAD + b'{"frames": [], "stacks": []' + b" " * 1000 + b"}"])).take(CPU, 0.1)


def test_what_a_service_says_is_a_short_line_without_controls(hostile):
    said = b"HTTP/1.0 503 No\r\n\r\n\x1b]0;pwned\x07\xc2\x9b31m" + b"x" * 5000

    with pytest.raises(NoProfile) as caught:
        hostile(iter([said])).take(CPU, 0.1)
    assert str(caught.value).startswith(r"\x1b]0;pwned\x07\x9b31mxxx")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("address", ["127.0.0.1:port", "a\x00b:1", "[::1", "x" * 300, "ü..ä:1", ""])
def test_an_address_that_is_none_is_no_profile(address):
    with pytest.raises(NoProfile):
        ProfileSource("shop", address).take(CPU, 0.1)


def test_a_token_that_no_header_can_hold_is_said_in_a_line(hostile, monkeypatch, tmp_path):
    """And not shown."""
    file = tmp_path / "token"
    file.write_text("half\nof a secret")
    monkeypatch.setenv(profile_source.TOKEN_FILE_VARIABLE, str(file))
    refused = b"HTTP/1.0 401 Unauthorized\r\n\r\nno token"

    with pytest.raises(NoProfile) as caught:
        hostile(iter([refused]), known=False).take(CPU, 0.1)
    assert "secret" not in str(caught.value)


def test_no_redirect_is_followed(hostile):
    moved = b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/debug/pprof/wall\r\n\r\n"

    with pytest.raises(NoProfile):
        hostile(iter([moved]), known=False).take(CPU, 0.1)
