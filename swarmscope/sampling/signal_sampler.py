"""Samples the main thread by a timer of CPU time: in sync and gevent workers, and in Locust.

The interpreter runs a signal's handler between two instructions, so a long call of C code gets one
signal, at its end. Therefore each sample weighs the CPU time since the one before.
"""

from __future__ import annotations

import contextlib
import signal
from time import thread_time_ns
from types import FrameType

from swarmscope.pprof import Types
from swarmscope.sampling.stacks import NO_REQUEST, Stacks

PROBE_INTERVAL_S = 0.1
TYPES: Types = (("samples", "count"), ("cpu", "nanoseconds"))

_active: SignalSampler | None = None


class SignalSampler:
    """Samples while it is active; `SIGPROF` belongs to one at a time."""

    types = TYPES
    interval_s = PROBE_INTERVAL_S  # of `tick`

    def __init__(self, hz: float, stacks: Stacks) -> None:
        self.stacks = stacks
        self._period_s = 1 / hz
        self._busy = False
        self._read_ns = 0
        self.own_ns = 0  # CPU time that sampling itself has taken in the main thread

    def refusal(self) -> str:
        """Return why this process cannot be sampled, "" if it can."""
        if signal.getsignal(signal.SIGPROF) not in (signal.SIG_DFL, signal.SIG_IGN, _on_signal):
            return "the app handles SIGPROF itself"
        if signal.getitimer(signal.ITIMER_PROF)[0]:
            return "the app has set ITIMER_PROF itself"
        return ""

    def start(self) -> None:
        """Begin, in the main thread. The handler comes before the timer and stays after it."""
        global _active
        if signal.getsignal(signal.SIGPROF) is not _on_signal:
            signal.signal(signal.SIGPROF, _on_signal)
        signal.siginterrupt(signal.SIGPROF, False)
        _silence_wakeup()
        self._read_ns = thread_time_ns()
        _active = self
        signal.setitimer(signal.ITIMER_PROF, self._period_s, self._period_s)

    def tick(self) -> None:
        """Do nothing: the timer samples."""

    def stop(self) -> str:
        """End, in any thread; return what spoiled the profile, if anything."""
        global _active
        if _active is not self:
            return ""
        _active = None
        if signal.getsignal(signal.SIGPROF) is not _on_signal:
            return "the app took over SIGPROF"  # and has set the timer, too, if it wants it
        signal.setitimer(signal.ITIMER_PROF, 0)
        return ""

    def sample(self, frame: FrameType | None) -> None:
        """Add what the main thread does in *frame*."""
        if self._busy:  # a signal while the last one is handled
            return
        self._busy = True
        now = thread_time_ns()
        weight, self._read_ns = now - self._read_ns, now
        route, stack = self.stacks.read(frame)
        self.stacks.add(NO_REQUEST if route is None else route, stack, 1, weight)
        self.own_ns += thread_time_ns() - now
        self._busy = False


def _on_signal(_: int, frame: FrameType | None) -> None:
    sampler = _active
    if sampler is not None:
        with contextlib.suppress(Exception):  # it would be raised in the app
            sampler.sample(frame)


def _silence_wakeup() -> None:
    """Let the pipe be full that gunicorn has Python write a byte to at each signal.

    gevent's workers never read it, and Python would print an error at each signal.
    """
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor >= 0:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
