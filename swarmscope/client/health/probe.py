"""How well one generator process keeps up: CPU, event-loop lag, and when it started requests.

A saturated generator adds its own waiting to every latency it reports. Each Locust process that
runs users measures these figures, and sends them to the master with Locust's own reports.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated, Any, TypedDict

import gevent
from locust.env import Environment
from msgspec import Meta

from swarmscope.client import clock
from swarmscope.client.events import Batches, listen_first
from swarmscope.client.master.messages import convert
from swarmscope.machine.processes import RunDelay
from swarmscope.runs.selection import HTTP_METHODS

HEARTBEAT_SECONDS = 0.02
WINDOWS_PER_SECOND = 10  # requests started are counted per 100 ms

FEW = Meta(ge=0, le=10**9)


class HealthMessage(TypedDict):
    """A `Health` on its way to the master."""

    cpu_ratio: Annotated[float, Meta(ge=0, le=1e4)]
    loop_lag_seconds: Annotated[float, Meta(ge=0, le=1e6)]
    starts: list[tuple[Annotated[int, Meta(ge=-(10**15), le=10**15)], Annotated[int, FEW]]]
    finished: Annotated[int, FEW]
    missed: Annotated[int, FEW]
    run_delay_ratio: Annotated[float, Meta(ge=0, le=1e6)] | None
    pid: Annotated[int, FEW]


@dataclass(frozen=True)
class Health:
    """What a generator process reports of the time since its last report."""

    cpu_ratio: float  # CPU seconds per second; 1.0 is one core, all a Locust process can use
    loop_lag_seconds: float  # mean wait of an event that arrives at a random moment
    starts: dict[int, int]  # requests started, by window (Unix time in units of 100 ms)
    finished: int = 0  # requests
    missed: int = 0  # of these, those that were slower than the objective allows
    run_delay_ratio: float | None = None  # seconds per second, of all threads, in which they were
    # ready to run and did not; None where the kernel does not count
    pid: int = 0  # on its machine; 0: not known

    def as_message(self) -> dict[str, Any]:
        """Return the form that travels in a Locust message."""
        return {
            "cpu_ratio": self.cpu_ratio,
            "loop_lag_seconds": self.loop_lag_seconds,
            "starts": list(self.starts.items()),
            "finished": self.finished,
            "missed": self.missed,
            "run_delay_ratio": self.run_delay_ratio,
            "pid": self.pid,
        }

    @classmethod
    def from_message(cls, message: Any) -> Health:
        """Read what `as_message` wrote; raises ValueError otherwise."""
        read: HealthMessage = convert(message, HealthMessage)
        return cls(
            read["cpu_ratio"],
            read["loop_lag_seconds"],
            dict(read["starts"]),
            read["finished"],
            read["missed"],
            read["run_delay_ratio"],
            read["pid"],
        )


class HealthProbe:
    """Watches the process and event loop that it runs in."""

    def __init__(self, environment: Environment, batches: Batches | None = None) -> None:
        """Count requests by Locust's event or, far cheaper, by *batches* of samples."""
        self._environment = environment
        self._starts: Counter[int] = Counter()
        self._finished = self._missed = 0
        self._squared_stalls = 0.0
        self._run_delay = RunDelay(os.getpid())
        self._run_delay_s = self._run_delay.seconds()
        self._restart_clocks()
        if batches is None:
            listen_first(environment.events.request, self._on_request)
        else:
            batches.append(self._on_batch)
        gevent.spawn(self._beat)

    def take(self) -> Health:
        """Return the figures since the last call, windows by the master's clock."""
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        run_delay_s = self._run_delay.seconds()
        shift = round(clock.offset_s * WINDOWS_PER_SECOND)
        health = Health(
            cpu_ratio=(time.process_time() - self._cpu_since) / elapsed,
            loop_lag_seconds=self._squared_stalls / (2 * elapsed),
            starts={window + shift: count for window, count in self._starts.items()},
            finished=self._finished,
            missed=self._missed,
            run_delay_ratio=_ratio(self._run_delay_s, run_delay_s, elapsed),
            pid=os.getpid(),
        )
        self._run_delay_s = run_delay_s
        self._starts.clear()
        self._finished = self._missed = 0
        self._squared_stalls = 0.0
        self._restart_clocks()
        return health

    def _restart_clocks(self) -> None:
        self._since = time.perf_counter()
        self._cpu_since = time.process_time()

    def _on_request(
        self,
        request_type: str = "",
        start_time: float | None = None,
        response_time: float | None = None,
        **_: object,
    ) -> None:
        try:
            self._starts[int((start_time or time.time()) * WINDOWS_PER_SECOND)] += 1
        except (TypeError, ValueError, OverflowError):  # a custom client's idea of a time
            self._starts[int(time.time() * WINDOWS_PER_SECOND)] += 1
        self._count([(request_type, response_time)])

    def _on_batch(self, samples: Sequence[tuple[Any, ...]]) -> None:
        """Count samples: start in Unix seconds, milliseconds, name, request type, …"""
        try:
            windows = [int(sample[0] * WINDOWS_PER_SECOND) for sample in samples]
        except (TypeError, ValueError, OverflowError):  # a custom client's idea of a time
            starts = [sample[0] for sample in samples if isinstance(sample[0], float)]
            windows = [int(start * WINDOWS_PER_SECOND) for start in starts if isfinite(start)]
        self._starts.update(windows)
        self._count([(sample[3], sample[1]) for sample in samples])

    def _count(self, finished: Sequence[tuple[Any, Any]]) -> None:
        """Count requests (type, milliseconds), and those slower than the objective allows.

        Beside HTTP requests, figures that a scenario reports as requests do not count.
        """
        limit_ms = getattr(self._environment.parsed_options, "slo_p95", inf)
        counted = [one for one in finished if one[0] in HTTP_METHODS] or finished
        self._finished += len(counted)
        with suppress(TypeError):  # a custom client's idea of a time
            self._missed += len([1 for _, ms in counted if ms is not None and ms > limit_ms])

    def _beat(self) -> None:
        """Add up the squares of the loop's stalls.

        An event that arrives at a random moment falls into a stall of length L with a chance in
        proportion to L and then waits L/2 on average, so the mean wait over T is ΣL²/2T (renewal
        theory's inspection paradox). A plain mean of late timers would hide long stalls, because a
        stall of a second delays one timer only.
        """
        while True:
            before = time.perf_counter()
            gevent.sleep(HEARTBEAT_SECONDS)
            stall = time.perf_counter() - before - HEARTBEAT_SECONDS
            if stall > 0:
                self._squared_stalls += stall * stall


def _ratio(before_s: float | None, now_s: float | None, elapsed_s: float) -> float | None:
    if before_s is None or now_s is None:
        return None
    return max(0.0, now_s - before_s) / elapsed_s
