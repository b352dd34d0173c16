"""The service time of one request, divided among its components.

Time in calls comes from one timeline: at each moment the innermost call counts, so that components
are disjoint. CPU time is that of the request's own thread or greenlet outside of calls.
"""

from __future__ import annotations

import functools
import itertools
from _thread import get_ident
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from time import perf_counter, thread_time
from typing import Any

COMPONENTS = ("cpu", "db", "pool", "http", "cache", "other")
DB, POOL, HTTP, CACHE, OUTSIDE = range(5)  # where a request is at a moment
SHORT_S = 20e-6  # a call that takes less has not waited: its thread has had a CPU all the time
GAP_S = 250e-6  # a request that ends or begins a call so soon after a reading has not waited
NEVER_S = float("inf")
MAX_ELSEWHERE = 1_000  # calls in other threads, greenlets or tasks

Wanted = tuple[bool, bool, bool, bool]
NOTHING: Wanted = (False, False, False, False)  # also once the service time is over
Call = tuple[int, float]  # of another thread: where, and since when


class Breakdown:
    """Where the time of one request goes. Only its own thread or greenlet moves the timeline.

    A call in another thread, greenlet or task that the request has started is noted, and counts as
    far as the request has no other explanation for that time: it may have waited for it.

    The CPU clock is a system call, and slow beside the rest. It is read at both ends; CPU time
    within calls is subtracted: all of a short call, else by a reading at its end and one before it.
    So an error is no longer than `GAP_S`, and no more than the CPU time of the call after it.
    """

    __slots__ = (
        "_began",
        "_began_cpu_s",
        "_elsewhere",
        "_left_cpu_s",
        "_others_cpu_s",
        "_reading_s",
        "_resumed_at",
        "_resumed_cpu_s",
        "any_call",
        "calls",
        "cpu_s",
        "ended",
        "entered_at",
        "environ",
        "gap_s",
        "holds",
        "in_calls_cpu_s",
        "metrics",
        "outgoing",
        "owner",
        "read_at",
        "seconds",
        "since",
        "statements",
        "wanted",
        "when_ended",
        "where",
    )

    identify: Callable[[], object] = get_ident  # what identifies the running thread or greenlet

    def __init__(self, now: float, wanted: Wanted, cpu: bool) -> None:
        """Begin at *now* (``perf_counter``); without *cpu* no CPU clock is read."""
        self.wanted = wanted
        self.metrics: Any = None  # ComponentMetrics
        self.outgoing: Any = None  # OutgoingCalls, which know this class; before, their settings
        self.environ: Mapping[str, Any] = {}
        self.statements: dict[str, Any] | None = None  # Executed, by text
        self.any_call = self.ended = False
        self.seconds = [0.0, 0.0, 0.0, 0.0]  # of calls
        self.calls = [0, 0, 0, 0]
        self.holds: list[float] | None = None  # how long each pooled connection was
        self.when_ended: Callable[[Breakdown], object] | None = None
        self._elsewhere: list[tuple[int, float, float]] | None = None
        self._left_cpu_s: float | None = None
        self.where = OUTSIDE
        self._began = self.since = self.read_at = now
        self.owner = self.identify()
        self.cpu_s = self.in_calls_cpu_s = self._others_cpu_s = self._resumed_at = 0.0
        if cpu:
            self.gap_s = GAP_S
            self._reading_s = self._began_cpu_s = thread_time()
        else:
            self.gap_s = NEVER_S

    def enter(self, where: int) -> int | Call:
        """Begin a call; return what `leave` needs."""
        if self.identify() != self.owner:
            return self.enter_task(where)
        before = self.where
        if before != where:
            now = perf_counter()
            if before != OUTSIDE:
                self.seconds[before] += now - self.since
            else:
                self.any_call, self.entered_at = True, now
                if now - self.read_at >= self.gap_s:
                    self.read(now)
            self.where, self.since = where, now
        return before

    def enter_task(self, where: int) -> Call:
        """Begin a call of one of several tasks that share a thread; see `enter`."""
        return where, perf_counter()

    def leave(self, before: int | Call) -> None:
        """End a call: the request is back where it was *before*."""
        if type(before) is tuple:
            self._note_elsewhere(*before)
            return
        where = self.where
        if before != where and not self.ended:
            now = perf_counter()
            self.seconds[where] += now - self.since
            if before == OUTSIDE:
                took_s = now - self.entered_at
                self.in_calls_cpu_s += took_s if took_s < SHORT_S else self.cpu_of_call(now)
            self.where, self.since = before, now  # type: ignore[assignment]

    def hold(self, seconds: float) -> None:
        """Note how long a connection of a pool was held."""
        if self.holds is None:
            self.holds = []
        self.holds.append(seconds)

    def end(self) -> None:
        """End the service time; what follows is not counted."""
        if self.ended:
            return
        now = perf_counter()
        if self.where != OUTSIDE:
            self.seconds[self.where] += now - self.since
            self.in_calls_cpu_s += self.cpu_of_call(now)
        if self.gap_s != NEVER_S:
            age_s = now - self.read_at
            if age_s >= GAP_S:
                self.read(now)
                age_s = 0.0
            cpu_s = self._reading_s + age_s - self._began_cpu_s - self.in_calls_cpu_s
            self.cpu_s = max(0.0, cpu_s)
        self.ended, self.wanted = True, NOTHING
        if self.when_ended is not None:
            self.when_ended(self)
        if self._elsewhere:
            self._add_elsewhere(_union(self._elsewhere), now)

    def left(self, cpu_s: float) -> None:
        """Note that others have the thread from *cpu_s* of its CPU clock on."""
        self._left_cpu_s = cpu_s

    def resumed(self, cpu_s: float) -> None:
        """Note that the request has its thread back at *cpu_s* of its CPU clock."""
        if self._left_cpu_s is not None:
            self._others_cpu_s += cpu_s - self._left_cpu_s
            self._left_cpu_s = None
            self._resumed_cpu_s, self._resumed_at = cpu_s, perf_counter()

    def read(self, now: float) -> None:
        """Read the CPU clock, less what others had of it."""
        fresh = now - self._resumed_at < SHORT_S
        cpu_s = self._resumed_cpu_s if fresh else thread_time()
        self._reading_s, self.read_at = cpu_s - self._others_cpu_s, now

    def cpu_of_call(self, now: float) -> float:
        """Return the CPU time since a call was entered; 0 if it waited before and not within."""
        if self.gap_s == NEVER_S:
            return 0.0
        entered_cpu_s = self._reading_s + self.entered_at - self.read_at
        self.read(now)
        return max(0.0, self._reading_s - entered_cpu_s)

    def _note_elsewhere(self, where: int, began: float) -> None:
        if self.ended:
            return
        if self._elsewhere is None:
            self._elsewhere = []
        if len(self._elsewhere) < MAX_ELSEWHERE:
            self.any_call = True
            self._elsewhere.append((where, began, perf_counter()))

    def _add_elsewhere(self, elsewhere: list[float], now: float) -> None:
        """Add the time of calls *elsewhere*, as far as the request was idle and in no call."""
        idle_s = max(0.0, now - self._began - sum(self.seconds) - self.cpu_s)
        for where, seconds in enumerate(elsewhere):
            counted = min(seconds, idle_s)
            idle_s -= counted
            self.seconds[where] += counted


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
