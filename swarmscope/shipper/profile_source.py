"""Asks a service for a profile, where its metrics are served: one address, one at a time."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

from swarmscope.formatting import first_line, printable
from swarmscope.runs.profiles.model import CPU, WAITING, Profile, parsed

TOKEN_FILE_VARIABLE = "SWARMSCOPE_PROFILES_TOKEN_FILE"
PATHS = {CPU: "/debug/pprof/profile", WAITING: "/debug/pprof/wall"}
HZ = {CPU: 100, WAITING: 25}  # a sample of waiting looks at each request in flight
ANSWER_S = 15.0  # beyond a profile's seconds: workers have 5 s to answer
MAX_ANSWER_BYTES = 16 << 20  # far more than the bounded stacks of many workers take
MAX_REASON = 200  # characters of what a service complains of
PROBE = {"seconds": 0}  # what only an endpoint of ours complains of, and answers at once
OK, BAD_REQUEST, UNAUTHORIZED, UNAVAILABLE = 200, 400, 401, 503


class NoProfile(Exception):
    """There is none to be had; the text is one line that says why, "" where there never is one."""


class Busy(Exception):
    """Another profile is being taken there."""


@dataclass
class ProfileSource:
    """The profiles of a service, at the address of its metrics (``HOST:PORT``)."""

    job: str
    address: str
    _headers: dict[str, str] = field(default_factory=dict)
    _is_known: bool = False

    def take(self, kind: str, seconds: float) -> Profile:
        """Return a profile of the next *seconds*; raises `NoProfile` or `Busy`."""
        if not self._is_known:
            self._probe()
        query = {"seconds": seconds, "hz": HZ[kind], "format": "json"}
        status, body = self._get(kind, query, seconds + ANSWER_S)
        if status == UNAVAILABLE and body.startswith(b"another profile"):
            raise Busy
        if status != OK:
            raise NoProfile(_text(body) or f"status {status}")
        try:
            return parsed(kind, seconds, json.loads(body))
        except (ValueError, RecursionError) as error:
            raise NoProfile(_line(first_line(error))) from error

    def _probe(self) -> None:
        """Find out whether there are profiles; raises `NoProfile` if not.

        The token is sent to a service that asks for one, and to no other.
        """
        status, body = self._get(WAITING, PROBE, ANSWER_S)
        if status == UNAUTHORIZED:
            self._headers = {"Authorization": f"Bearer {_token()}"}
            status, body = self._get(WAITING, PROBE, ANSWER_S)
        if status == UNAUTHORIZED:
            raise NoProfile(_text(body))
        if status != BAD_REQUEST or not body.startswith(b"seconds must be"):
            raise NoProfile
        self._is_known = True

    def _get(self, kind: str, query: Mapping[str, object], timeout_s: float) -> tuple[int, bytes]:
        try:
            with _connected(self.address, timeout_s) as connection:
                connection.request("GET", f"{PATHS[kind]}?{urlencode(query)}", None, self._headers)
                response = connection.getresponse()
                status, body = response.status, response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, HTTPException, ValueError) as error:  # that is an address that is none
            raise NoProfile(_line(first_line(error))) from error
        if len(body) > MAX_ANSWER_BYTES:
            raise NoProfile(f"the answer is too long: more than {MAX_ANSWER_BYTES >> 20} MB")
        return status, body


@contextmanager
def _connected(address: str, timeout_s: float) -> Iterator[HTTPConnection]:
    """Connect for at most *timeout_s* in all: each byte of an answer has a timeout of its own."""
    connection = HTTPConnection(address, timeout=timeout_s)
    connection.connect()
    peer = connection.sock  # the response takes it from the connection
    timer = threading.Timer(timeout_s, _shut_down, [peer])
    timer.daemon = True
    timer.start()
    try:
        yield connection
    finally:
        timer.cancel()
        connection.close()


def _shut_down(peer: socket.socket) -> None:
    with suppress(OSError):  # it is closed
        peer.shutdown(socket.SHUT_RDWR)


def _text(body: bytes) -> str:
    return _line(body[: 4 * MAX_REASON].decode(errors="replace").strip().partition("\n")[0])


def _line(text: str) -> str:
    return printable(text[:MAX_REASON])


def _token() -> str:
    """Return the token that the environment names a file of, "" without."""
    file = os.environ.get(TOKEN_FILE_VARIABLE)
    if not file:
        raise NoProfile(f"it needs the token; {TOKEN_FILE_VARIABLE} is not set for Locust")
    try:
        token = Path(file).read_text().strip()
    except (OSError, ValueError) as error:
        raise NoProfile(f"the token cannot be read: {first_line(error)}") from error
    if not (token.isascii() and token.isprintable()):  # http.client would show it in its error
        raise NoProfile(f"the token in {TOKEN_FILE_VARIABLE} must be one line of ASCII")
    return token
