"""The CPU time of a service's processes over time."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable

CPU_CLOCK = 2  # of a process, by its scheduler: CPUCLOCK_SCHED of the kernel's posix-timers


class CpuTime:
    """Samples of what processes have used, to the nanosecond; what a process had at its end stays.

    Threads that have ended count, too. A process's clock is found by its id (the kernel's
    ``include/linux/posix-timers.h``, MAKE_PROCESS_CPUCLOCK), as clock_getcpuclockid(3) does it.
    """

    def __init__(self) -> None:
        self._used: dict[int, float] = {}
        self._times: list[float] = []
        self._sums: list[float] = []

    def sample(self, pids: Iterable[int]) -> None:
        """Read the clocks of *pids* now."""
        for pid in pids:
            try:
                self._used[pid] = time.clock_gettime(~pid << 3 | CPU_CLOCK)
            except OSError:  # it has ended
                continue
        self._times.append(time.time())
        self._sums.append(sum(self._used.values()))

    def between(self, since: float, until: float) -> float | None:
        """Return the seconds used in [since, until), Unix times; None if not all was sampled."""
        if not self._times or since < self._times[0] or until > self._times[-1]:
            return None
        return self._at(until) - self._at(since)

    def _at(self, when: float) -> float:
        right = max(bisect_left(self._times, when), 1)
        (t0, t1), (u0, u1) = (values[right - 1 : right + 1] for values in (self._times, self._sums))
        return u0 + (u1 - u0) * (when - t0) / (t1 - t0)
