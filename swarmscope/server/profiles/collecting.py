"""The arbiter's side of a profile: asks the workers, waits for their answers, merges them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from swarmscope.sampling.signal_sampler import TYPES as CPU_TYPES
from swarmscope.server.profiles import exchange
from swarmscope.server.profiles.exchange import WALL
from swarmscope.server.profiles.listening import WAKE
from swarmscope.server.profiles.merging import WorkersProfile, merged
from swarmscope.server.profiles.waiting_sampler import TYPES as WALL_TYPES

GRACE_S = 5.0  # for an answer: a long call of C code, or an overloaded machine, delays it


class ProfileOfWorkers:
    """A profile of all workers, from its question to its answers."""

    def __init__(
        self,
        directory: Path,
        workers: Callable[[], Collection[int]],
        kind: str,
        seconds: float,
        hz: float,
    ) -> None:
        """Ask *workers*, the pids of those that live, for *seconds* of a profile of *kind*.

        A worker that starts meanwhile sees the question for itself.
        """
        self._directory, self._workers = directory, workers
        self._kind, self._seconds, self._hz = kind, seconds, hz
        self._began, self._until = time.time(), time.monotonic() + seconds
        self._question = exchange.ask(directory, kind, hz, self._until)
        for pid in workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, WAKE)

    def remaining_s(self) -> float:
        """Return the seconds until it is over."""
        return max(0.0, self._until - time.monotonic())

    def is_over(self) -> bool:
        """Return whether all live workers have answered or refused, or have had time to."""
        left, live = self._until - time.monotonic(), set(self._workers())
        if left > 0:  # one that ends answers early, and another takes its place
            refused = exchange.answered(self._directory, self._question, exchange.REFUSED)
            return bool(live) and live <= refused.keys()
        answered = exchange.answered(self._directory, self._question)
        return left < -GRACE_S or live <= answered.keys()

    def finish(self, program: str) -> WorkersProfile:
        """Return what the workers answered."""
        types = WALL_TYPES if self._kind == WALL else CPU_TYPES
        profile = WorkersProfile(types, self._seconds, self._hz, self._began, program)
        merged(profile, exchange.answers(self._directory, self._question))
        answered = exchange.answered(self._directory, self._question).keys()
        for pid in sorted(set(self._workers()) - answered):
            profile.notes.append(f"the worker with pid {pid} did not answer in time")
        self.cancel()
        return profile

    def cancel(self) -> None:
        """Make the workers stop."""
        exchange.withdraw(self._directory)
