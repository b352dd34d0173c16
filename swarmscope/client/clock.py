"""How far this process's clock is behind the master's, estimated by asking the master the time.

A question at the local time t0, answered at t1 with the master's time m, gives the offset
m − (t0 + t1) / 2, wrong by at most half the round trip (Cristian, "Probabilistic clock
synchronization", Distributed Computing 1989). Of the last answers the quickest is believed. An
offset that is no larger than its own uncertainty is taken as none: clocks of one machine agree.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Any

import gevent
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner, WorkerRunner

MESSAGE = "swarmscope_clock"
FIRST_QUESTIONS = 5
FIRST_PAUSE_SECONDS = 0.1
PAUSE_SECONDS = 5.0
REMEMBERED_ANSWERS = 8

offset_s = 0.0  # to be added to this process's clock; one process has one clock


def answer(environment: Environment) -> None:
    """Let this master tell its time to workers that ask."""
    runner = environment.runner
    assert isinstance(runner, MasterRunner)

    def on_question(msg: Any, **_: object) -> None:
        answer = {"asked": msg.data["asked"], "master": time.time()}
        runner.send_message(MESSAGE, answer, client_id=msg.node_id)

    runner.register_message(MESSAGE, on_question)


class Asking:
    """Keeps `offset_s` of a worker right."""

    def __init__(self, environment: Environment) -> None:
        runner = environment.runner
        assert isinstance(runner, WorkerRunner)
        self._runner = runner
        self._answers: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_ANSWERS)
        runner.register_message(MESSAGE, self._on_answer)
        gevent.spawn(self._ask)

    def _ask(self) -> None:
        questions = 0
        while True:
            with suppress(RPCError):  # Locust mends its connection; the next may get through
                self._runner.send_message(MESSAGE, {"asked": time.time()})
            questions += 1
            gevent.sleep(FIRST_PAUSE_SECONDS if questions < FIRST_QUESTIONS else PAUSE_SECONDS)

    def _on_answer(self, msg: Any, **_: object) -> None:
        global offset_s
        answered = time.time()
        self._answers.append(estimate(msg.data["asked"], msg.data["master"], answered))
        offset_s = best(self._answers)


def estimate(asked: float, master: float, answered: float) -> tuple[float, float]:
    """Return (round trip, offset) in seconds of one question and answer."""
    return answered - asked, master - (asked + answered) / 2


def best(answers: deque[tuple[float, float]]) -> float:
    """Return the offset to believe, in seconds."""
    round_trip, offset = min(answers)
    return offset if abs(offset) > round_trip / 2 else 0.0
