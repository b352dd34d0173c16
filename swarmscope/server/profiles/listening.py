"""Lets a worker be asked for profiles, by SIGURG: a process without a handler ignores it.

The handler reads what is asked for and begins to record; at other times nothing of this runs.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from swarmscope.sampling.signal_sampler import SignalSampler
from swarmscope.server.profiles import exchange
from swarmscope.server.profiles.exchange import REFUSED, WALL, Question
from swarmscope.server.profiles.recording import Recording, Sampler
from swarmscope.server.profiles.stacks import RequestStacks
from swarmscope.server.profiles.thread_sampler import ThreadSampler
from swarmscope.server.profiles.waiting_sampler import WaitingSampler

WAKE = signal.SIGURG
THREADED = "ThreadWorker"  # gunicorn's class of workers whose requests run in threads


class Listener:
    """What a worker knows of profiles: where they are asked for, and the one under way."""

    def __init__(self, directory: Path, slot: str, threaded: bool) -> None:
        self._directory, self._threaded = directory, threaded
        self._worker: dict[str, Any] = {"slot": slot, "pid": os.getpid()}
        self._recording: Recording | None = None

    def look(self) -> None:
        """Begin what is asked for, in the main thread, unless that has begun."""
        question = exchange.question(self._directory)
        if question is None or question.until <= monotonic() or os.getpid() != self._worker["pid"]:
            return
        if self._recording is not None:
            if self._recording.question == question:
                return
            self._recording.abandon()
        sampler = self._sampler(question)
        if reason := sampler.refusal():
            content = {**self._worker, "note": reason}
            exchange.answer(self._directory, question, content, REFUSED)
            return
        self._recording = Recording(self._directory, question, sampler, self._worker)
        self._recording.start()

    def end(self) -> None:
        """Answer with what there is: the worker ends."""
        if self._recording is not None and os.getpid() == self._worker["pid"]:
            self._recording.finish()

    def forget(self) -> None:
        """Drop the recording in a forked process, which has inherited neither thread nor timer."""
        if self._recording is not None:
            self._recording.abandon()

    def _sampler(self, question: Question) -> Sampler:
        if question.kind == WALL:
            return WaitingSampler(question.hz)
        if self._threaded:
            return ThreadSampler(question.hz)
        return SignalSampler(question.hz, RequestStacks())


def listen(worker: Any, directory: Path) -> None:
    """Make gunicorn's *worker* answer what is asked for in *directory* from now on."""
    if signal.getsignal(WAKE) not in (signal.SIG_DFL, signal.SIG_IGN):
        worker.log.warning("No profiles of this worker: the app handles SIGURG itself")
        return
    threaded = any(base.__name__ == THREADED for base in type(worker).__mro__)
    listener = Listener(directory, str(worker.slot), threaded)

    def on_signal(_: int, __: FrameType | None) -> None:
        with contextlib.suppress(Exception):  # it would be raised in the app
            listener.look()

    signal.signal(WAKE, on_signal)
    signal.siginterrupt(WAKE, False)
    atexit.register(listener.end)
    os.register_at_fork(after_in_child=listener.forget)
    listener.look()  # one may be under way
