"""How long requests hold a place in a gunicorn worker: one of its threads, or the worker itself.

A request holds it until its body is sent, which no app sees, but gunicorn's ``post_request``. One
that takes long is counted while it runs, or its place would look free.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

LONG_S = 1.0  # a request that has run for so long is counted before its end
CALLS_POST_REQUEST = "gunicorn.socket"  # in a request's environment


class Timer(Protocol):
    """Times one request."""

    started: float  # by ``perf_counter``

    def add_held(self, seconds: float) -> None:
        """Add *seconds* to the time for which requests like this one hold a place."""


class HeldPlaces:
    """The requests that hold a place now, by thread or greenlet."""

    def __init__(self) -> None:
        self.on = False
        self.timers: dict[object, Timer] = {}
        self.identify: Callable[[], object] = get_ident
        self._counted_until: dict[Timer, float] = {}

    def begin(self, worker: Any, identify: Callable[[], object]) -> None:
        """Count in *worker* from now on; *identify* returns the running thread or greenlet."""
        self.on, self.identify = True, identify
        take, counted_until = self.timers.pop, self._counted_until
        theirs = worker.cfg.post_request

        def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
            timer = take(identify(), None)
            if timer is not None:
                since = counted_until.pop(timer, timer.started) if counted_until else timer.started
                timer.add_held(perf_counter() - since)
            theirs(worker, req, environ, resp)

        worker.cfg.set("post_request", post_request)

    def forget(self) -> None:
        """Count nothing in a process that the worker has forked."""
        self.on = False
        self.timers.clear()
        self._counted_until.clear()

    def count_long(self) -> None:
        """Count the time so far of requests that have run for long."""
        now = perf_counter()
        for place, timer in list(self.timers.items()):
            since = self._counted_until.get(timer, timer.started)
            if now - since >= LONG_S and self.timers.get(place) is timer:
                self._counted_until[timer] = now
                timer.add_held(now - since)


HELD = HeldPlaces()
