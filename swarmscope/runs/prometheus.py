"""Queries of a Prometheus that somebody is waiting for: answered within seconds, or not at all."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from math import isfinite
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from swarmscope.formatting import first_line, printable
from swarmscope.runs import services

TIMEOUT_S = 2.0  # of one query
PATIENCE_S = 6.0  # of all queries
MAX_ANSWER_BYTES = 32 << 20
MAX_REASON_BYTES = 4 << 10
REJECTIONS = (400, 422)  # https://prometheus.io/docs/prometheus/latest/querying/api/


class Unavailable(Exception):
    """Prometheus did not answer as expected; the text is one line without a password."""


class Line(msgspec.Struct):
    """A series: its labels and its values, each with its Unix time; *value* at a single moment."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Result(msgspec.Struct):
    result: list[Line]


class _Answer(msgspec.Struct):
    data: _Result


class _Error(msgspec.Struct):
    error: str


@dataclass(frozen=True)
class Axis:
    """Moments of time: *points* of them, *step_s* apart, the first at *since_s* (Unix)."""

    since_s: float
    step_s: int
    points: int

    def values(self, line: Line) -> list[float | None]:
        """Return a line's values, one for each moment; None where unknown or not a number."""
        values: list[float | None] = [None] * self.points
        for at, text in line.values:
            number, value = round((at - self.since_s) / self.step_s), float(text)
            if 0 <= number < self.points and isfinite(value):
                values[number] = value
        return values


def _deadline() -> float:
    return time.monotonic() + PATIENCE_S


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus at *url*, to be asked until *deadline* (monotonic)."""

    url: str
    deadline: float = field(default_factory=_deadline)

    def at(self, moment_s: float, query: str) -> list[Line]:
        """Return the lines of *query* at *moment_s* (Unix), or now if that is later."""
        form = {"query": query, "time": min(moment_s, time.time())}
        return _post(self.url, "/api/v1/query", form, self._left_s())

    def over(self, axis: Axis, query: str, shift_s: float = 0.0) -> list[Line]:
        """Return the lines of *query*, each value moved back by *shift_s*.

        A rate describes the middle of its window. The future is not queried.
        """
        left_s = self._left_s()
        start = axis.since_s + shift_s
        end = min(start + (axis.points - 1) * axis.step_s, time.time())
        if end < start:
            return []
        form = {"query": query, "start": start, "end": end, "step": axis.step_s}
        lines = _post(self.url, "/api/v1/query_range", form, left_s)
        for line in lines:
            line.values = [(at - shift_s, value) for at, value in line.values]
        return lines

    def _left_s(self) -> float:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise Unavailable(f"Prometheus took longer than {PATIENCE_S:g} s")
        return min(TIMEOUT_S, left_s)


def without_user_info(url: str | None) -> str | None:
    """Return *url* without user info and query, fit to be stored and shown; None if not HTTP."""
    try:
        parts = _checked(url or "")
    except Unavailable:
        return None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Return whether *url* names this machine, so that elsewhere it is another Prometheus."""
    try:
        return services.is_loopback(_checked(url).hostname or "")
    except Unavailable:
        return False


def _post(url: str, path: str, form: Mapping[str, object], timeout_s: float) -> list[Line]:
    parts = _checked(url)
    place = parts.netloc.rpartition("@")[2]
    request = Request(f"{parts.scheme}://{place}{parts.path.rstrip('/')}{path}")
    request.data = urlencode(form).encode()
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        basic = f"Basic {base64.b64encode(pair).decode()}"
        request.add_unredirected_header("Authorization", basic)  # not for another server
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=timeout_s) as answer:
            content = answer.read(MAX_ANSWER_BYTES)
        return msgspec.json.decode(content, type=_Answer).data.result
    except (OSError, HTTPException, ValueError, RecursionError) as error:  # of names, of JSON
        if isinstance(error, HTTPError) and error.code in REJECTIONS:
            raise Unavailable(f"Prometheus rejects the query: {_reason(error)}") from error
        text = f"Prometheus at {place} does not answer: {first_line(error)}"
        raise Unavailable(printable(text)) from error


def _reason(error: HTTPError) -> str:
    """Return what Prometheus says of a query, in a line."""
    with suppress(OSError, HTTPException, msgspec.DecodeError):
        said = msgspec.json.decode(error.read(MAX_REASON_BYTES), type=_Error).error
        return printable(" ".join(said.split()))
    return first_line(error)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise Unavailable("the address of Prometheus must be an http:// or https:// URL")
    return parts
