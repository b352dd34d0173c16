"""Outgoing calls that a request makes: the headers that they carry, and how long each took.

``X-Request-Start`` says when the call was sent, ``traceparent`` to which trace it belongs, so that
an instrumented service shows its own queue, and its logs the same trace id. Headers that the app or
a tracer set stay as they are.

Source: W3C Trace Context, level 1, sections 3.2 and 3.3.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from time import perf_counter, time
from typing import Any

from swarmscope.server.components.breakdown import HTTP, Breakdown
from swarmscope.server.headers import trace_id
from swarmscope.server.labels import METHODS, OTHER_METHOD, Observers

START, TRACEPARENT, TRACESTATE = "X-Request-Start", "traceparent", "tracestate"
MAX_HOSTS = 50  # more are counted as one
OTHER = "other"
DEFAULT_PORTS = {"http": 80, "https": 443}
EVERY_HOST = ("*",)


class OurStart(str):
    """A start time that we have set, and may set again when the call is repeated."""

    __slots__ = ()


class OutgoingSettings:
    """To which hosts the headers go, and where calls are counted."""

    def __init__(self, patterns: Collection[str], observe: Observers | None) -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._observe = observe
        self._hosts: dict[tuple[str, int], str] = {}
        self._marked: dict[str, bool] = {}

    def marks(self, host: str) -> bool:
        """Return whether calls to *host* get headers."""
        if self._patterns == EVERY_HOST:
            return True
        marked = self._marked.get(host)
        if marked is None:
            marked = any(fnmatchcase(host.lower(), pattern) for pattern in self._patterns)
            if len(self._marked) < MAX_HOSTS:
                self._marked[host] = marked
        return marked

    def count(self, host: str, port: int, method: str, ok: bool, seconds: float) -> None:
        """Count a call."""
        if self._observe is None:
            return
        name = self._hosts.get((host, port))
        if name is None:
            if len(self._hosts) >= MAX_HOSTS:
                name = OTHER
            else:
                shown = f"[{host.strip('[]')}]" if ":" in host else host
                name = self._hosts[host, port] = f"{shown}:{port}"
        method = method if method in METHODS else OTHER_METHOD
        self._observe[name, method, "ok" if ok else "error"](seconds)


class OutgoingCalls:
    """The outgoing calls of one request; *environ* is that of the request."""

    __slots__ = ("_environ", "_parent", "settings", "under_way")

    def __init__(self, settings: OutgoingSettings, environ: Mapping[str, Any]) -> None:
        self.settings = settings
        self._environ = environ
        self._parent: str | None = None
        self.under_way: set[object] = set()  # threads or greenlets: a retry is part of its call

    def missing(self, given: Iterable[str]) -> dict[str, str]:
        """Return the headers that a call lacks which has those *given*, in lower case."""
        headers: dict[str, str] = {}
        if TRACEPARENT not in given:
            headers[TRACEPARENT] = self._traceparent()
            state = self._environ.get("HTTP_TRACESTATE")
            if state and TRACESTATE not in given and self._received():
                headers[TRACESTATE] = state
        if START.lower() not in given:
            headers[START] = now()
        return headers

    def _received(self) -> bool:
        return bool(trace_id(self._environ.get("HTTP_TRACEPARENT")))

    def _traceparent(self) -> str:
        """Return the request's trace with a new parent; all calls of a request share a trace."""
        if self._parent is None:
            received = self._environ.get("HTTP_TRACEPARENT")
            trace = trace_id(received)
            flags = received.split("-")[3] if trace and received else "01"
            self._parent = f"00-{trace or os.urandom(16).hex()}-{{}}-{flags}"
        return self._parent.format(os.urandom(8).hex())


def now() -> OurStart:
    """Return the value of `START` for a call that is sent now."""
    return OurStart(f"t={time():.6f}")


def outgoing_of(breakdown: Breakdown) -> OutgoingCalls | None:
    """Return the outgoing calls of a request; None if they are neither marked nor counted."""
    if type(breakdown.outgoing) is OutgoingSettings:  # its first one
        breakdown.outgoing = OutgoingCalls(breakdown.outgoing, breakdown.environ)
    return breakdown.outgoing  # type: ignore[no-any-return]


def mark(breakdown: Breakdown, host: str, headers: Any) -> Any:
    """Return *headers* of a call to *host*, as a copy with what is missing.

    They are a mapping: a dict, or one whose names are the same in any case.
    """
    outgoing = outgoing_of(breakdown)
    if outgoing is None or not outgoing.settings.marks(host):
        return headers
    given = {}
    for name in headers:
        text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
        given[text.lower()] = name
    start = given.get(START.lower())
    if start is not None and type(headers[start]) is OurStart:  # sent before: a retry or redirect
        del given[START.lower()]
    marked = headers.copy() if hasattr(headers, "copy") else dict(headers)
    for name, value in outgoing.missing(given).items():
        marked[name] = value
    return marked


class OutgoingCall:
    """Times and counts a call, with its retries, while it is entered.

    It is an error if it raises, or if its `status` is 500 or more.
    """

    __slots__ = ("_before", "_began", "_breakdown", "_target", "_task", "status")

    def __init__(
        self, breakdown: Breakdown, target: tuple[str, int, str], task: bool = False
    ) -> None:
        """*target* is host, port and method; a *task* of an event loop may not be alone."""
        self._breakdown, self._target, self._task = breakdown, target, task
        self._before: Any = None
        self.status = 0

    def __enter__(self) -> OutgoingCall:
        """Begin it."""
        breakdown = self._breakdown
        self._began = perf_counter()
        if breakdown.wanted[HTTP]:
            breakdown.calls[HTTP] += 1
            enter = breakdown.enter_task if self._task else breakdown.enter
            self._before = enter(HTTP)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End it; an exception passes."""
        breakdown = self._breakdown
        if self._before is not None:
            breakdown.leave(self._before)
        if breakdown.outgoing is not None:
            ok = kind is None and self.status < 500
            seconds = perf_counter() - self._began
            breakdown.outgoing.settings.count(*self._target, ok, seconds)
