"""How far this process's clock is behind the master's, estimated from round trips to the master.

A request sent at the local time t0 and answered at t1 with the master's time m gives the offset
m − (t0 + t1) / 2, wrong by at most half the round trip (Cristian, "Probabilistic clock
synchronization", Distributed Computing 1989). The reply with the shortest round trip wins. An
offset within its own uncertainty counts as zero: clocks of one machine agree.

A run is timed by a clock that does not step: `own` continues from the machine's time at which it
was last set, however the machine's clock is corrected meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Any, TypedDict

import gevent
import gevent.event
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner, WorkerRunner

from swarmscope.client.master.messages import Timestamp, convert

MESSAGE = "swarmscope_clock"
FIRST_REQUESTS = 5
FIRST_PAUSE_SECONDS = 0.1
PAUSE_SECONDS = 5.0
REMEMBERED_REPLIES = 8
MAX_DRIFT_S = 0.05  # between two clocks, from one reply to the next
MIN_STEP_S = 0.01  # below, two clocks were read one after the other

offset_s = 0.0  # to be added to this process's clock; one process has one clock
_zero_s = time.time() - time.monotonic()


def own() -> float:
    """Return this process's time in Unix seconds, unaffected by steps of the machine's clock."""
    return _zero_s + time.monotonic()


def now() -> float:
    """Return the master's time in Unix seconds."""
    return own() + offset_s


def step_s() -> float:
    """Return by how many seconds the machine's clock has stepped since `own` was set; else 0.0."""
    step = time.time() - own()
    return step if abs(step) > MIN_STEP_S else 0.0


def set_by_machine(earliest: float) -> None:
    """Set `own` to the machine's time, unless that is before *earliest*."""
    global _zero_s
    if time.time() >= earliest:
        _zero_s = time.time() - time.monotonic()


def attach(environment: Environment) -> None:
    """Make a master return its time, and a worker request it."""
    if isinstance(environment.runner, MasterRunner):
        _answer(environment.runner)
    elif isinstance(environment.runner, WorkerRunner):
        ClockSync(environment, environment.runner)


def _answer(runner: MasterRunner) -> None:
    def on_request(msg: Any, **_: object) -> None:
        reply = {**read_request(msg.data), "master": own()}
        runner.send_message(MESSAGE, reply, client_id=msg.node_id)

    runner.register_message(MESSAGE, on_request)


class TimeRequest(TypedDict):
    """What a worker sends: when it asked, by its own clock."""

    asked: Timestamp


class TimeReply(TimeRequest):
    """What the master sends back: the request, and its own time."""

    master: Timestamp


def read_request(data: Any) -> TimeRequest:
    """Return a worker's request; raises ValueError for anything else."""
    request: TimeRequest = convert(data, TimeRequest)
    return request


class ClockSync:
    """Keeps `offset_s` of a worker up to date."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._runner = runner
        self._replies: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_REPLIES)
        self._started = gevent.event.Event()  # a run has, and its master may have set its clock
        runner.register_message(MESSAGE, self._on_reply)
        environment.events.test_start.add_listener(lambda **_: self._started.set())
        gevent.spawn(self._ask)

    def _ask(self) -> None:
        while True:
            for number in range(FIRST_REQUESTS):
                self._send()
                if number < FIRST_REQUESTS - 1:
                    gevent.sleep(FIRST_PAUSE_SECONDS)
            self._started.clear()
            while not self._started.wait(PAUSE_SECONDS):
                self._send()

    def _send(self) -> None:
        with suppress(RPCError):  # Locust reconnects; the next may get through
            self._runner.send_message(MESSAGE, {"asked": own()})

    def _on_reply(self, msg: Any, **_: object) -> None:
        global offset_s
        reply: TimeReply = convert(msg.data, TimeReply)
        found = estimate(reply["asked"], reply["master"], own())
        if self._replies and _disagree(found, min(self._replies)):
            self._replies.clear()
        self._replies.append(found)
        offset_s = best(self._replies)


def estimate(asked: float, master: float, answered: float) -> tuple[float, float]:
    """Return (round trip, offset) in seconds of one exchange."""
    return answered - asked, master - (asked + answered) / 2


def _disagree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return whether a clock must have been set between two replies."""
    return abs(one[1] - other[1]) > (one[0] + other[0]) / 2 + MAX_DRIFT_S


def best(replies: deque[tuple[float, float]]) -> float:
    """Return the offset to use, in seconds."""
    round_trip, offset = min(replies)
    return offset if abs(offset) > round_trip / 2 else 0.0
