"""The service time of one request, divided among its components.

Time in calls comes from one timeline: at each moment the innermost call counts, so that components
are disjoint. CPU time is that of the request's own thread or greenlet outside of calls.
"""

from __future__ import annotations

import functools
import itertools
import sys
from _thread import get_ident
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter, thread_time
from typing import Any

COMPONENTS = ("cpu", "db", "pool", "http", "cache", "other")
DB, POOL, HTTP, CACHE, OUTSIDE = range(5)  # where a request is at a moment
FRESH_S = 20e-6  # a thread that was here so shortly ago has run since: no need to read its clock
MAX_ELSEWHERE = 1_000  # calls in other threads, greenlets or tasks

Wanted = tuple[bool, bool, bool, bool]
NOTHING: Wanted = (False, False, False, False)  # also once the service time is over
Call = tuple[int, float]  # of another thread: where, and since when


WATCHED: dict[object, Breakdown] = {}  # by greenlet, of those that share a thread with others


class Breakdown:
    """Where the time of one request goes. Only its own thread or greenlet moves the timeline.

    A call in another thread, greenlet or task that the request has started is noted, and counts as
    far as the request has no other explanation for that time: it may have waited for it.
    """

    __slots__ = (
        "_cpu_mark",
        "_elsewhere",
        "_fresh_s",
        "_identify",
        "_read_at",
        "_reading",
        "_since",
        "_where",
        "any_call",
        "calls",
        "cpu_s",
        "ended",
        "holds",
        "left_at_cpu_s",
        "metrics",
        "outgoing",
        "owner",
        "seconds",
        "statements",
        "wanted",
    )

    def __init__(self, now: float, wanted: Wanted, cpu: bool) -> None:
        """Begin at *now* (``perf_counter``); without *cpu* no CPU clock is read."""
        self.wanted = wanted
        self.metrics: Any = None  # ComponentMetrics
        self.outgoing: Any = None  # OutgoingCalls, which know this class
        self.statements: dict[str, Any] | None = None  # Executed, by text
        self.any_call = False  # of which there is time in `seconds` besides OUTSIDE
        self.seconds = [0.0, 0.0, 0.0, 0.0, 0.0]
        self.calls = [0, 0, 0, 0]
        self.holds: list[float] = []  # how long each pooled connection was
        self.cpu_s = self.left_at_cpu_s = 0.0
        self.ended = False
        self._elsewhere: list[tuple[int, float, float]] = []
        self._where, self._since = OUTSIDE, now
        self._identify = identify = _identify()
        self.owner = identify()
        self._fresh_s = FRESH_S if cpu else float("inf")
        self._read_at = now
        self._reading = self._cpu_mark = thread_time() if cpu else 0.0

    def enter(self, where: int) -> int | Call:
        """Begin a call; return what `leave` needs."""
        if self._identify() != self.owner:
            return self.enter_task(where)
        before = self._where
        if before != where:
            now = perf_counter()
            self.seconds[before] += now - self._since
            if before == OUTSIDE:
                self.cpu_s += self._cpu(now) - self._cpu_mark
            self._where, self._since, self.any_call = where, now, True
        return before

    def enter_task(self, where: int) -> Call:
        """Begin a call of one of several tasks that share a thread; see `enter`."""
        return where, perf_counter()

    def caller(self) -> object:
        """Return what identifies the running thread or greenlet."""
        return self._identify()

    def leave(self, before: int | Call) -> None:
        """End a call: the request is back where it was *before*."""
        if type(before) is tuple:
            self._note_elsewhere(*before)
            return
        if before != self._where and not self.ended:
            now = perf_counter()
            self.seconds[self._where] += now - self._since
            if before == OUTSIDE:
                self._cpu_mark = self._cpu(now)
            self._where, self._since = before, now  # type: ignore[assignment]

    def end(self) -> None:
        """End the service time; what follows is not counted."""
        if self.ended:
            return
        if self._where == OUTSIDE:
            now = perf_counter()
            self.cpu_s += self._cpu(now) - self._cpu_mark
        now = perf_counter()
        self.seconds[self._where] += now - self._since
        self.ended, self.wanted = True, NOTHING
        if self.owner in WATCHED:
            del WATCHED[self.owner]
        if self._elsewhere:
            self._add_elsewhere()

    def resume(self, cpu_s: float) -> None:
        """Go on after others had the thread from `left_at_cpu_s` to *cpu_s* of its CPU clock."""
        if self.left_at_cpu_s:
            self._cpu_mark += cpu_s - self.left_at_cpu_s
        self.left_at_cpu_s = self._read_at = 0.0

    def _cpu(self, now: float) -> float:
        """Return the thread's CPU time: a system call, unless it was read a moment ago."""
        age = now - self._read_at
        if age < self._fresh_s:
            return self._reading + age
        self._read_at = now
        self._reading = reading = thread_time()
        return reading

    def _note_elsewhere(self, where: int, began: float) -> None:
        if not self.ended and len(self._elsewhere) < MAX_ELSEWHERE:
            self.any_call = True
            self._elsewhere.append((where, began, perf_counter()))

    def _add_elsewhere(self) -> None:
        """Add the union of the calls elsewhere, as far as the request was outside and idle."""
        idle_s = max(0.0, self.seconds[OUTSIDE] - self.cpu_s)
        for where, seconds in enumerate(_union(self._elsewhere)):
            counted = min(seconds, idle_s)
            idle_s -= counted
            self.seconds[where] += counted
            self.seconds[OUTSIDE] -= counted


def _union(calls: list[tuple[int, float, float]]) -> list[float]:
    """Return how long there was any of *calls*, each moment counted for the one begun last."""
    seconds = [0.0, 0.0, 0.0, 0.0]
    edges = sorted({edge for _, began, ended in calls for edge in (began, ended)})
    waiting, running = sorted(calls, key=lambda call: call[1], reverse=True), []
    for edge, following in itertools.pairwise(edges):
        while waiting and waiting[-1][1] <= edge:
            running.append(waiting.pop())
        running = [call for call in running if call[2] > edge]
        if running:
            seconds[running[-1][0]] += following - edge
    return seconds


def _identify() -> Callable[[], object]:
    """Return what identifies the running thread or greenlet, without importing greenlet."""
    greenlet = sys.modules.get("greenlet")
    return getattr(greenlet, "getcurrent", get_ident)


CURRENT: ContextVar[Breakdown | None] = ContextVar("swarmscope.breakdown", default=None)
current = CURRENT.get


def timed(where: int, function: Callable[..., Any], counted: bool = False) -> Callable[..., Any]:
    """Return *function* as a call of the component *where*, which is *counted* if it is one."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[where]:
            return function(*args, **kwargs)
        before = breakdown.enter(where)
        if counted and before != where:  # else it is part of one that is counted
            breakdown.calls[where] += 1
        try:
            return function(*args, **kwargs)
        finally:
            breakdown.leave(before)

    return call
