"""The services' metrics during a run, from Prometheus: a bounded set of series.

Everything is read within seconds or not at all: a swarm, or a person, is waiting.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from ipaddress import ip_address
from math import ceil, isfinite
from urllib.parse import SplitResult, unquote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from swarmscope.formatting import first_line

MAX_POINTS = 600
MAX_JOBS = 8
TIMEOUT_S = 2.0  # of one query
PATIENCE_S = 6.0  # of all queries
MAX_ANSWER_BYTES = 32 << 20
MIN_STEP_S = 2  # the scrape interval of prometheus.yml
MIN_WINDOW_S = 10  # five scrapes, as in rules.yml

_DURATION = "sum by (job, le) (rate(flask_http_request_duration_seconds_bucket[{window}s]))"
_CPU = "rate(gunicorn_worker_cpu_seconds_total[{window}s])"
RATES = {  # of the window that ends at the queried moment
    "requests_per_s": "sum by (job) (rate(flask_http_request_duration_seconds_count[{window}s]))",
    "p50_ms": f"1000 * histogram_quantile(0.50, {_DURATION})",
    "p95_ms": f"1000 * histogram_quantile(0.95, {_DURATION})",
    "p99_ms": f"1000 * histogram_quantile(0.99, {_DURATION})",
    "worker_cpu_max_ratio": f"max by (job) ({_CPU})",
    "worker_cpu_mean_ratio": f"avg by (job) ({_CPU})",
}
GAUGES = {
    "in_flight_requests": "max by (job) (max_over_time(flask_http_requests_in_flight[{step}s]))",
    "backlog_connections": "max by (job) (max_over_time(gunicorn_backlog_connections[{step}s]))",
    "workers": "max by (job) (gunicorn_workers)",
    "worker_memory_bytes": "sum by (job) (gunicorn_worker_resident_memory_bytes)",
}


class Unavailable(Exception):
    """Prometheus did not answer as expected; the text is one line without a password."""


@dataclass(frozen=True)
class Capture:
    """Series on one axis: element *i* is at `since` + *i* × `step_s`, None where unknown."""

    since: datetime
    step_s: float
    series: Mapping[tuple[str, str], list[float | None]]  # by (job, name)


class _Line(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]  # Unix seconds, and a number as text


class _Result(msgspec.Struct):
    result: list[_Line]


class _Answer(msgspec.Struct):
    data: _Result


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
        name = _checked(url).hostname or ""
    except Unavailable:
        return False
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")  # RFC 6761, 6.3


def read(url: str, since: datetime, until: datetime) -> Capture:
    """Return the services' series of [since, until] from the Prometheus at *url*.

    At most `MAX_POINTS` points and `MAX_JOBS` services. Raises `Unavailable`.
    """
    span_s = max((until - since).total_seconds(), MIN_STEP_S)
    step_s = max(MIN_STEP_S, ceil(span_s / (MAX_POINTS - 1)))
    axis = _Axis(since.timestamp(), step_s, int(span_s // step_s) + 1)
    asker = _Asker(url, time.monotonic() + PATIENCE_S)
    found: dict[tuple[str, str], list[float | None]] = {}
    for name, expression in RATES.items():
        window_s = max(MIN_WINDOW_S, step_s)
        query = expression.format(window=window_s)
        found |= _by_job(name, asker.ask(query, axis, shift_s=window_s / 2), axis)
    for name, expression in GAUGES.items():
        query = expression.format(step=step_s)
        found |= _by_job(name, asker.ask(query, axis, shift_s=0), axis)
    jobs = sorted({job for job, _ in found})[:MAX_JOBS]
    kept = {key: values for key, values in sorted(found.items()) if key[0] in jobs}
    return Capture(since, float(step_s), kept)


@dataclass(frozen=True)
class _Axis:
    since_s: float  # Unix time
    step_s: int
    points: int


@dataclass(frozen=True)
class _Asker:
    url: str
    deadline: float  # by the monotonic clock

    def ask(self, query: str, axis: _Axis, shift_s: float) -> list[_Line]:
        """Return the lines of *query*, each value moved back by *shift_s*.

        A rate describes the middle of its window. The future is not queried.
        """
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise Unavailable(f"Prometheus took longer than {PATIENCE_S:g} s")
        start = axis.since_s + shift_s
        end = min(start + (axis.points - 1) * axis.step_s, time.time())
        if end < start:
            return []
        form = {"query": query, "start": start, "end": end, "step": axis.step_s}
        lines = _post(self.url, "/api/v1/query_range", form, min(TIMEOUT_S, left_s))
        for line in lines:
            line.values = [(at - shift_s, value) for at, value in line.values]
        return lines


def _post(url: str, path: str, form: Mapping[str, object], timeout_s: float) -> list[_Line]:
    parts = _checked(url)
    place = parts.netloc.rpartition("@")[2]
    request = Request(f"{parts.scheme}://{place}{parts.path.rstrip('/')}{path}")
    request.data = urlencode(form).encode()
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=timeout_s) as answer:
            content = answer.read(MAX_ANSWER_BYTES)
        return msgspec.json.decode(content, type=_Answer).data.result
    except (OSError, HTTPException, msgspec.DecodeError) as error:
        raise Unavailable(f"Prometheus at {place} does not answer: {first_line(error)}") from error


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise Unavailable("the address of Prometheus must be an http:// or https:// URL")
    return parts


def _by_job(
    name: str, lines: list[_Line], axis: _Axis
) -> dict[tuple[str, str], list[float | None]]:
    return {(line.metric.get("job", ""), name): _on_axis(line, axis) for line in lines}


def _on_axis(line: _Line, axis: _Axis) -> list[float | None]:
    values: list[float | None] = [None] * axis.points
    for at, text in line.values:
        number, value = round((at - axis.since_s) / axis.step_s), float(text)
        if 0 <= number < axis.points and isfinite(value):
            values[number] = value
    return values


def settled(until: datetime) -> datetime:
    """Return when Prometheus has all of a run that ended at *until*: half a window later."""
    return until.astimezone(UTC) + timedelta(seconds=MIN_WINDOW_S / 2 + MIN_STEP_S)
