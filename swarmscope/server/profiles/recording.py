"""One profile in a worker: begun in its main thread, ended and answered by a thread of its own.

That thread also is a probe: how late it wakes is how long a thread that is ready waits for the
interpreter's lock, or for a CPU.
"""

from __future__ import annotations

import random
from pathlib import Path
from time import monotonic, process_time, thread_time
from typing import Any, Protocol

from swarmscope.pprof import Types
from swarmscope.sampling.stacks import Stacks
from swarmscope.server.profiles import exchange, native
from swarmscope.server.profiles.exchange import Question

LOOK_S = 0.25  # between looks whether the profile is still wanted
REST = 50  # times as long as it sampled a thread sleeps at least: that takes 2 % of a core at most
DELAY_QUANTILES = (0.5, 0.95, 1.0)


class Sampler(Protocol):
    """What takes samples."""

    types: Types
    interval_s: float
    stacks: Stacks
    own_ns: int

    def refusal(self) -> str: ...
    def start(self) -> None: ...
    def tick(self) -> None: ...
    def stop(self) -> str: ...


class Recording:
    """A profile under way."""

    def __init__(
        self, directory: Path, question: Question, sampler: Sampler, worker: dict[str, Any]
    ) -> None:
        """*worker* is what the answer says of this process."""
        self.question = question
        self._directory, self._sampler, self._worker = directory, sampler, worker
        self._delays_s: list[float] = []
        self._own_s = 0.0
        self._started = monotonic()
        self._cpu_s = process_time()
        self._unfinished = [True]  # whoever pops it ends the recording

    def start(self) -> None:
        """Begin, in the main thread."""
        self._sampler.start()
        native.start(self._run)

    def abandon(self) -> None:
        """End without an answer."""
        if self._take_end():
            self._sampler.stop()

    def finish(self) -> None:
        """End and answer, unless that is done."""
        if not self._take_end():
            return
        note = self._sampler.stop()
        content = {
            **self._worker,
            "note": note,
            "types": self._sampler.types,
            "seconds": monotonic() - self._started,
            "cpu_s": process_time() - self._cpu_s,
            "own_cpu_s": self._own_s + self._sampler.own_ns / 1e9,
            "wake_delays_s": quantiles(self._delays_s),
            **self._sampler.stacks.content(),
        }
        exchange.answer(self._directory, self.question, content)

    def _take_end(self) -> bool:
        """Return whether the caller is the one that ends this; threads may ask at once."""
        try:
            return self._unfinished.pop()
        except IndexError:
            return False

    def _run(self) -> None:
        try:
            self._sample()
            self.finish()
        except Exception as error:  # in no thread that anyone waits for: say it in the answer
            self.abandon()
            content = {**self._worker, "note": f"{type(error).__name__}: {error}"}
            exchange.answer(self._directory, self.question, content, exchange.REFUSED)

    def _sample(self) -> None:
        sleep, jitter = native.sleeper(), random.Random()  # the app's own sequence stays as it is
        looked, file = monotonic(), self._directory / exchange.QUESTION
        took_s = 0.0
        while self._unfinished:
            pause_s = max(self._sampler.interval_s, REST * took_s)
            due = monotonic() + pause_s * (0.5 + jitter.random())
            sleep(max(0.0, due - monotonic()))
            now = monotonic()
            self._delays_s.append(now - due)
            if now >= self.question.until:
                return
            if now - looked > LOOK_S:
                looked = now
                if not file.exists():
                    return self.abandon()
            began_s = thread_time()
            self._sampler.tick()
            self._own_s = thread_time()
            took_s = self._own_s - began_s


def quantiles(values: list[float]) -> list[float]:
    """Return those of `DELAY_QUANTILES`; none without values."""
    ordered = sorted(values)
    return [
        ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in DELAY_QUANTILES if ordered
    ]
