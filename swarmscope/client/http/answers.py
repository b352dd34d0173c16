"""Responses whose parts are made when somebody reads them."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple

from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPSocketPoolResponse
from locust.contrib.fasthttp import FastRequest, FastResponse, ResponseContextManager

# What llhttp reads in the same way, and no more: RFC 9112, section 4; RFC 9110, sections 5.1, 5.5.
_HEAD = re.compile(
    rb"HTTP/1\.1 (2\d\d) [ -~]*\r\n(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[ -~\t]*\r\n)*\r\n"
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,12}) *\r\n")
_RARE = (
    b"\r\ntransfer-encoding:",
    b"\r\ncontent-encoding:",
    b"\r\nupgrade:",
    b"\r\nproxy-connection:",
    b"\r\nlocation:",
)
SET_COOKIE = b"\r\nset-cookie"
_TIMING = b"\r\nserver-timing:"


class Answer(NamedTuple):
    """The head of a plain answer, one with Content-Length."""

    status: int
    lowered: bytes  # its head in lower case
    begin: int  # of the body
    end: int
    keeps: bool  # its connection is kept open


class Replay:
    """A socket, and its pool, from which some bytes have been read already, or an error."""

    def __init__(
        self, data: bytes, error: BaseException | None = None, sock: Any = None, pool: Any = None
    ) -> None:
        self._data, self._error, self._sock, self._pool = data, error, sock, pool

    def recv(self, size: int) -> Any:
        """Return at most *size* bytes, or raise what was raised."""
        if self._data:
            data, self._data = self._data[:size], self._data[size:]
            return data
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return b"" if self._sock is None else self._sock.recv(size)

    def return_socket(self, _replay: Replay) -> None:
        """Give the socket back; one with bytes that nobody asked for is closed."""
        if self._pool is not None:
            (self._pool.release_socket if self._data else self._pool.return_socket)(self._sock)

    def release_socket(self, _replay: Replay) -> None:
        """Close the socket."""
        if self._pool is not None:
            self._pool.release_socket(self._sock)


def read_head(data: bytes) -> Answer | None:
    """Return the head of the answer that *data* begins with, None if it is not a plain one."""
    head = _HEAD.match(data)
    if head is None:
        return None
    begin = head.end()
    lowered = data[:begin].lower()
    length = _LENGTH.search(lowered)
    if length is None or lowered.count(b"\r\ncontent-length") != 1:
        return None
    for name in _RARE:
        if name in lowered:
            return None
    status, keeps = int(head[1]), True
    if b"\r\nconnection:" in lowered:
        keeps = b"\r\nconnection: keep-alive\r\n" in lowered
        if lowered.count(b"\r\nconnection:") != 1:
            return None
        if not keeps and b"\r\nconnection: close\r\n" not in lowered:
            return None
    if status in (204, 205):
        return None
    return Answer(status, lowered, begin, begin + int(length[1]), keeps)


class Sent(NamedTuple):
    """What a request was made of."""

    agent: Any
    method: str
    url: str
    headers: dict[str, Any]
    payload: Any
    cookie: str | None
    head: str


class _Lazy:
    """The attributes of Locust's `FastResponse`, made when somebody reads them."""

    trace_id: bytes | None
    first_byte_ms: float | None
    elapsed_s: float

    def __init__(self, answer: Answer, data: bytes, sent: Sent) -> None:
        self._answer, self._data, self._sent = answer, data, sent

    @property
    def status_code(self) -> int:
        """The status of the answer."""
        return self._answer.status

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self._answer.end - self._answer.begin

    @cached_property
    def content(self) -> bytes:
        """The body."""
        return self._data[self._answer.begin : self._answer.end]

    @cached_property
    def _response(self) -> HTTPSocketPoolResponse:
        """The answer as geventhttpclient reads it; its body has been read."""
        replay: Any = Replay(self._data)
        made = HTTPSocketPoolResponse(replay, replay, method=self._sent.method.upper())
        made.read()
        return made

    @cached_property
    def headers(self) -> Headers:
        """The headers of the answer."""
        return self._response._headers_index

    @cached_property
    def request(self) -> FastRequest:
        """The request."""
        sent = self._sent
        headers = sent.agent.default_headers.copy()
        headers.update(sent.headers)
        made: FastRequest = sent.agent._make_request(
            sent.url, method=sent.method, headers=headers, payload=sent.payload
        )
        if sent.cookie is not None and not made.has_header("Cookie"):
            made.add_unredirected_header("Cookie", sent.cookie)
        return made

    @property
    def elapsed(self) -> timedelta:
        """The time from sending the request to the end of the answer."""
        return timedelta(seconds=self.elapsed_s)

    @cached_property
    def history(self) -> list[Any]:
        """The redirects that led here: none."""
        return []

    def server_timing(self) -> Any:
        """Return Server-Timing as `dict.get` of its headers does, its name left out."""
        lowered = self._answer.lowered
        found = lowered.find(_TIMING)
        if found < 0:
            return None
        begin = found + len(_TIMING)
        if lowered.find(_TIMING, begin) >= 0:
            return dict.get(self.headers, "server-timing")
        end = lowered.find(b"\r\n", begin)
        return self._data[begin:end].strip(b" \t").decode("latin-1")


class Response(_Lazy, FastResponse):  # type: ignore[misc, override]
    """A response of `Session`."""


class CaughtResponse(_Lazy, ResponseContextManager):  # type: ignore[misc, override]
    """A response of `Session` for a ``with`` block."""

    __init__ = ResponseContextManager.__init__
