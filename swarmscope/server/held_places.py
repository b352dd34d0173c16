"""How long requests hold a place in a gunicorn worker: one of its threads, or the worker itself.

A worker or thread is held for longer than any app sees: from the connection's turn, so also while
the request comes in, until it is closed or given back. A sync worker waits until the client has
closed its side, too. Cooperative workers hold a request until its body is sent, which is when
gunicorn calls ``post_request``. One that takes long is counted while it runs, or its place would
look free.
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
        self._counted: dict[object, tuple[float, float]] = {}  # by place: seconds, until when

    def begin(self, worker: Any) -> None:
        """Count what holds the threads of *worker*, or the worker itself, from now on."""
        self.on, self.identify = True, get_ident
        take, counted, theirs = self.timers.pop, self._counted, worker.handle

        def handle(*connection: Any) -> Any:
            begun = perf_counter()
            try:
                return theirs(*connection)
            finally:
                place = get_ident()
                timer = take(place, None)
                if timer is not None:
                    before_s = counted.pop(place, (0.0,))[0] if counted else 0.0
                    timer.add_held(perf_counter() - begun - before_s)

        worker.handle = handle

    def begin_cooperative(self, worker: Any, identify: Callable[[], object]) -> None:
        """Count the requests of *worker* from now on; *identify* returns the running greenlet."""
        self.on, self.identify = True, identify
        take, counted = self.timers.pop, self._counted
        theirs = worker.cfg.post_request

        def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
            place = identify()
            timer = take(place, None)
            if timer is not None:
                before_s = counted.pop(place, (0.0,))[0] if counted else 0.0
                timer.add_held(perf_counter() - timer.started - before_s)
            theirs(worker, req, environ, resp)

        worker.cfg.set("post_request", post_request)

    def forget(self) -> None:
        """Count nothing in a process that the worker has forked."""
        self.on = False
        self.timers.clear()
        self._counted.clear()

    def count_long(self) -> None:
        """Count the time so far of requests that have run for long."""
        now = perf_counter()
        for place, timer in list(self.timers.items()):
            before_s, until = self._counted.get(place, (0.0, timer.started))
            if now - until >= LONG_S and self.timers.get(place) is timer:
                self._counted[place] = before_s + now - until, now
                timer.add_held(now - until)


HELD = HeldPlaces()
