"""Samples the requests in flight, whatever they do: above all, what they wait for.

A request that waits is a thread's stack, or that of a suspended greenlet.
"""

from __future__ import annotations

import random
import sys
from time import monotonic_ns
from types import FrameType

from swarmscope.pprof import Types
from swarmscope.sampling.stacks import Stacks
from swarmscope.server.components.greenlets import WATCHED
from swarmscope.server.profiles import native
from swarmscope.server.profiles.stacks import RequestStacks, is_in_request
from swarmscope.server.profiles.thread_clocks import ThreadClocks

MAX_GREENLETS = 50  # that are looked at in one sample: each takes about 30 µs
TYPES: Types = (("samples", "count"), ("wall", "nanoseconds"), ("waiting", "nanoseconds"))


class WaitingSampler:
    """Samples every request in flight; it has waited while its thread has not run."""

    types = TYPES
    own_ns = 0  # CPU time that sampling itself has taken in other threads than that of `tick`

    def __init__(self, hz: float) -> None:
        self.stacks: Stacks = RequestStacks()
        self.interval_s = 1 / hz
        self._clocks: ThreadClocks | None = None
        self._read_ns = 0
        self._random = random.Random()  # the app's own sequence stays as it is

    def refusal(self) -> str:
        """Return "": any process can be sampled."""
        return ""

    def start(self) -> None:
        """Begin, in the main thread: time from now on counts."""
        self._clocks = ThreadClocks()
        self._read_ns = monotonic_ns()

    def tick(self) -> None:
        """Add where each request is, with the time since the last sample."""
        assert self._clocks is not None
        now = monotonic_ns()
        passed_ns, self._read_ns = now - self._read_ns, now
        own = native.ident()
        for ident, frame in sys._current_frames().items():
            if ident != own:
                self._add(frame, passed_ns, min(passed_ns, self._clocks.used_ns(ident)))
        requests, weight = self._chosen(list(WATCHED))
        for request in requests:
            suspended = getattr(request, "gr_frame", None)  # None while it runs
            self._add(suspended, int(passed_ns * weight), 0)

    def _chosen(self, requests: list[object]) -> tuple[list[object], float]:
        """Return some of *requests* if they are many, and how many each of them counts for."""
        if len(requests) <= MAX_GREENLETS:
            return requests, 1.0
        return self._random.sample(requests, MAX_GREENLETS), len(requests) / MAX_GREENLETS

    def stop(self) -> str:
        """End; return what spoiled the profile, if anything."""
        return ""

    def _add(self, frame: FrameType | None, passed_ns: int, ran_ns: int) -> None:
        if not is_in_request(frame):
            return
        route, stack = self.stacks.read(frame)
        if route is not None:
            self.stacks.add(route, stack, 1, passed_ns, passed_ns - ran_ns)
