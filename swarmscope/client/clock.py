"""How far this process's clock is behind the master's, estimated by asking the master the time.

A question at the local time t0, answered at t1 with the master's time m, gives the offset
m − (t0 + t1) / 2, wrong by at most half the round trip (Cristian, "Probabilistic clock
synchronization", Distributed Computing 1989). Of the last answers the quickest is believed. An
offset that is no larger than its own uncertainty is taken as none: clocks of one machine agree.

A run's times are by a clock that does not step: `own` goes on from the machine's time when it was
last set by that, however the machine's own clock is corrected meanwhile.
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
FIRST_QUESTIONS = 5
FIRST_PAUSE_SECONDS = 0.1
PAUSE_SECONDS = 5.0
REMEMBERED_ANSWERS = 8
LARGEST_DRIFT_S = 0.05  # of two clocks between two answers
SMALLEST_STEP_S = 0.01  # below, two clocks were read one after the other

offset_s = 0.0  # to be added to this process's clock; one process has one clock
_zero_s = time.time() - time.monotonic()


def own() -> float:
    """Return this process's time in Unix seconds, which no step of the machine's clock reaches."""
    return _zero_s + time.monotonic()


def now() -> float:
    """Return the master's time in Unix seconds."""
    return own() + offset_s


def step_s() -> float:
    """Return by how much the machine's clock was stepped since `own` was set by it; 0.0 if not."""
    step = time.time() - own()
    return step if abs(step) > SMALLEST_STEP_S else 0.0


def set_by_machine(earliest: float) -> None:
    """Let `own` go on from the machine's time, unless that is before *earliest*."""
    global _zero_s
    if time.time() >= earliest:
        _zero_s = time.time() - time.monotonic()


def answer(environment: Environment) -> None:
    """Let this master tell its time to workers that ask."""
    runner = environment.runner
    assert isinstance(runner, MasterRunner)

    def on_question(msg: Any, **_: object) -> None:
        answer = {**read_question(msg.data), "master": own()}
        runner.send_message(MESSAGE, answer, client_id=msg.node_id)

    runner.register_message(MESSAGE, on_question)


class Question(TypedDict):
    """A worker's: when it was asked, by its own clock."""

    asked: Timestamp


class Answer(Question):
    """The master's, with its time."""

    master: Timestamp


def read_question(data: Any) -> Question:
    """Return a worker's question; raises ValueError for anything else."""
    question: Question = convert(data, Question)
    return question


class Asking:
    """Keeps `offset_s` of a worker right."""

    def __init__(self, environment: Environment) -> None:
        runner = environment.runner
        assert isinstance(runner, WorkerRunner)
        self._runner = runner
        self._answers: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_ANSWERS)
        self._started = gevent.event.Event()  # a run has: its master may have set its clock
        runner.register_message(MESSAGE, self._on_answer)
        environment.events.test_start.add_listener(lambda **_: self._started.set())
        gevent.spawn(self._ask)

    def _ask(self) -> None:
        while True:
            for question in range(FIRST_QUESTIONS):
                self._send()
                if question < FIRST_QUESTIONS - 1:
                    gevent.sleep(FIRST_PAUSE_SECONDS)
            self._started.clear()
            while not self._started.wait(PAUSE_SECONDS):
                self._send()

    def _send(self) -> None:
        with suppress(RPCError):  # Locust mends its connection; the next may get through
            self._runner.send_message(MESSAGE, {"asked": own()})

    def _on_answer(self, msg: Any, **_: object) -> None:
        global offset_s
        answer: Answer = convert(msg.data, Answer)
        found = estimate(answer["asked"], answer["master"], own())
        if self._answers and _disagree(found, min(self._answers)):
            self._answers.clear()
        self._answers.append(found)
        offset_s = best(self._answers)


def estimate(asked: float, master: float, answered: float) -> tuple[float, float]:
    """Return (round trip, offset) in seconds of one question and answer."""
    return answered - asked, master - (asked + answered) / 2


def _disagree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return whether a clock must have been set between two answers."""
    return abs(one[1] - other[1]) > (one[0] + other[0]) / 2 + LARGEST_DRIFT_S


def best(answers: deque[tuple[float, float]]) -> float:
    """Return the offset to believe, in seconds."""
    round_trip, offset = min(answers)
    return offset if abs(offset) > round_trip / 2 else 0.0
