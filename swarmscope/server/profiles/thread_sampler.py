"""Samples all threads from one of its own: where requests run in threads (gthread).

Which thread has run since the last sample, and for how long, is read from the threads' CPU clocks.
A sampling thread gets the interpreter's lock when another one gives it up: at a call that waits, or
after the interpreter's switch interval. With the usual 5 ms, calls that wait would be sampled far
too often, so the interval is shorter meanwhile.
"""

from __future__ import annotations

import sys

from swarmscope.pprof import Types
from swarmscope.sampling.stacks import NO_REQUEST, Stacks
from swarmscope.server.profiles import native
from swarmscope.server.profiles.stacks import RequestStacks
from swarmscope.server.profiles.thread_clocks import ThreadClocks

TYPES: Types = (("samples", "count"), ("cpu", "nanoseconds"))
SWITCH_S = 0.001  # 5 ms gave a true share of 75 % as 65 %
LEAST_NS = 50_000  # a thread that only woke up goes on adding up


class ThreadSampler:
    """Samples threads that use CPU time."""

    types = TYPES
    own_ns = 0  # CPU time that sampling itself has taken in other threads than that of `tick`

    def __init__(self, hz: float) -> None:
        self.stacks: Stacks = RequestStacks()
        self.interval_s = 1 / hz
        self._clocks: ThreadClocks | None = None
        self._switch_s = sys.getswitchinterval()

    def refusal(self) -> str:
        """Return why this process cannot be sampled, "" if it can."""
        return "" if sys.platform == "linux" else "CPU clocks of threads are known on Linux only"

    def start(self) -> None:
        """Begin, in the main thread: CPU time from now on counts."""
        self._clocks = ThreadClocks()
        sys.setswitchinterval(min(SWITCH_S, self._switch_s))

    def tick(self) -> None:
        """Add what each thread does that has used CPU time since the last sample."""
        assert self._clocks is not None
        own = native.ident()
        for ident, frame in sys._current_frames().items():
            if ident != own and (used_ns := self._clocks.used_ns(ident, LEAST_NS)):
                route, stack = self.stacks.read(frame)
                self.stacks.add(NO_REQUEST if route is None else route, stack, 1, used_ns)

    def stop(self) -> str:
        """End; return what spoiled the profile, if anything."""
        sys.setswitchinterval(self._switch_s)
        return ""
