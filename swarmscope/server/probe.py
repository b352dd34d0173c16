"""Finds out in a worker what no request can: how late a thread wakes, how many wait for one.

A thread that sleeps and wakes needs the interpreter's lock (GIL) like one that returns from a call:
how late it wakes is what a request waits there, for the lock and for the CPU. In a gevent worker it
is a greenlet, and waits for the loop.

It runs only while requests with ``X-Request-Start`` come: the first of a route starts it, and when
none has come for a while it makes the next one look like the first. So requests pay nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol
from weakref import WeakSet

from swarmscope.server.held_places import HELD
from swarmscope.server.probe_file import (
    LAG,
    LATE,
    LOOKED,
    QUEUED,
    THREADED,
    WAKES,
    open_cells,
    path_of,
)
from swarmscope.server.worker_classes import COOPERATIVE, kind_of, queue_of

INTERVAL_S = 0.2
IDLE_S = 10.0  # without a marked request
LOOK_S = 1.0  # between looks at what needs no more


class Marked(Protocol):
    """Counts requests that carry their start."""

    def queued_seconds(self) -> float:
        """Return how long they have been queued in all: it grows with each of them."""

    def expect_marked(self) -> None:
        """Call `Probe.start` at the next one."""


class Probe:
    """The probe of this process: there is none until it is told of its worker."""

    def __init__(self) -> None:
        self._pid = 0
        self._running = False
        self._counters: WeakSet[Marked] = WeakSet()
        self._cells: memoryview[float] | None = None
        self._queue: Callable[[], int] | None = None
        self._cooperative = False

    def attach(self, worker: Any, directory: Path) -> None:
        """Measure in *worker* from the first marked request on."""
        self._cells = open_cells(path_of(directory, str(worker.slot)), create=True)
        self._cooperative = kind_of(type(worker)) == COOPERATIVE
        self._queue, self._running, self._pid = queue_of(worker), False, os.getpid()

    def start(self, counter: Marked) -> None:
        """Run while requests come that *counter* counts."""
        self._counters.add(counter)
        if self._running or self._pid != os.getpid():
            return
        self._running = True
        thread = threading.Thread(target=self._run, name="swarmscope-probe", daemon=True)
        with contextlib.suppress(RuntimeError):  # no more threads: no figures, but a response
            thread.start()

    def _run(self) -> None:
        seen, seen_at, looked_at = -1.0, perf_counter(), 0.0
        while (now := self._wait()) - seen_at < IDLE_S:
            if now - looked_at < LOOK_S:
                continue
            looked_at = now
            HELD.count_long()
            queued_s = sum(counter.queued_seconds() for counter in list(self._counters))
            if queued_s != seen:
                seen, seen_at = queued_s, now
        self._running = False
        for counter in list(self._counters):
            counter.expect_marked()

    def _wait(self) -> float:
        """Sleep, and add what that has shown; return the time."""
        cells, before = self._cells, perf_counter()
        time.sleep(INTERVAL_S)  # gevent's, if it has replaced it
        now = perf_counter()
        assert cells is not None
        late_s = max(0.0, now - before - INTERVAL_S)
        if self._cooperative:
            cells[LOOKED] += now - before
            cells[LAG] += late_s * (INTERVAL_S + late_s / 2)
        else:
            cells[WAKES] += 1.0
            cells[LATE] += late_s
        if self._queue is not None:
            cells[THREADED] += now - before
            cells[QUEUED] += self._queue() * (now - before)
        return now


PROBE = Probe()
