"""CPU clocks of this process's threads (Linux)."""

from __future__ import annotations

import os
import sys
import threading
import time

from swarmscope.server.profiles import native


class ThreadClocks:
    """The CPU time that each thread has used since it was last asked for; made in the main thread.

    Threads are named as in ``sys._current_frames()``.
    """

    def __init__(self) -> None:
        self._main = native.ident()
        self._read_ns: dict[int, int] = {}  # by clock
        for ident in sys._current_frames():
            self.used_ns(ident)

    def used_ns(self, ident: int, least_ns: int = 0) -> int:
        """Return it; less than *least_ns* counts next time. 0 for a thread that is not known."""
        clock = self._clock(ident)
        if clock is None:
            return 0
        try:
            now = time.clock_gettime_ns(clock)
        except OSError:  # it has just ended
            return 0
        used = now - self._read_ns.get(clock, 0)
        if used < least_ns:
            return 0
        self._read_ns[clock] = now
        return used

    def _clock(self, ident: int) -> int | None:
        """Return the id of a thread's CPU clock.

        ``pthread_getcpuclockid`` may crash for a thread that has just ended. The kernel's own id is
        made of the thread's number (``make_thread_cpuclock``, include/linux/posix-timers.h), and
        reading the clock of an ended thread is an error.
        """
        if sys.platform != "linux":
            return None
        if ident == self._main:  # gevent registers it under another name
            return (~os.getpid() << 3) | 6
        thread = threading._active.get(ident)  # type: ignore[attr-defined]
        number = None if thread is None else thread.native_id
        return None if number is None else (~number << 3) | 6
