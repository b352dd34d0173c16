"""Asks a service for a profile, where its metrics are served: one address, one at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

from swarmscope.formatting import first_line
from swarmscope.runs.profiles.model import CPU, MAX_BYTES, WAITING, Profile, parsed

TOKEN_FILE_VARIABLE = "SWARMSCOPE_PROFILES_TOKEN_FILE"
PATHS = {CPU: "/debug/pprof/profile", WAITING: "/debug/pprof/wall"}
HZ = {CPU: 100, WAITING: 25}  # a sample of waiting looks at each request in flight
ANSWER_S = 15.0  # beyond a profile's seconds: workers have 5 s to answer
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
        except ValueError as error:
            raise NoProfile(first_line(error)) from error

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
        connection = HTTPConnection(self.address, timeout=timeout_s)
        try:
            connection.request("GET", f"{PATHS[kind]}?{urlencode(query)}", headers=self._headers)
            response = connection.getresponse()
            return response.status, response.read(MAX_BYTES)
        except (OSError, HTTPException) as error:
            raise NoProfile(first_line(error)) from error
        finally:
            connection.close()


def _text(body: bytes) -> str:
    return body.decode(errors="replace").strip().partition("\n")[0]


def _token() -> str:
    """Return the token that the environment names a file of, "" without."""
    file = os.environ.get(TOKEN_FILE_VARIABLE)
    if not file:
        raise NoProfile(f"it needs the token; {TOKEN_FILE_VARIABLE} is not set for Locust")
    try:
        return Path(file).read_text().strip()
    except (OSError, ValueError) as error:
        raise NoProfile(f"the token cannot be read: {first_line(error)}") from error
