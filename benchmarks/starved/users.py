"""The load on a starved service: levels of users who each send one request per second.

``STARVED_LOAD`` is a `Load` as JSON.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count

from locust import task  # first: it patches sockets
from locust.env import Environment
from msgspec import Struct, json

from swarmscope.client import FastHttpUser, Stage, Staged, paced

__all__ = ["Levels", "Sender"]


class Level(Struct):
    """So many users, each of whom requests one of *paths*, as many as any other."""

    users: int
    ramp_s: float
    hold_s: float
    paths: Sequence[str]


class Load(Struct):
    """The levels, and the CPU that a user spends on each response of *burn_on*, in ms."""

    levels: Sequence[Level]
    burn_ms: float = 0.0
    burn_on: Sequence[str] = ()


LOAD = json.decode(os.environ["STARVED_LOAD"], type=Load)
NUMBERS = count()  # of users


class Levels(Staged):
    """One level after the other."""

    stages = tuple(
        Stage(f"level {number}", level.users, level.ramp_s, level.hold_s)
        for number, level in enumerate(LOAD.levels, 1)
    )


class Sender(FastHttpUser):
    """Sends one request per second, or as soon as the one before is over."""

    wait_time = paced(1)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._number = next(NUMBERS)

    @task
    def send(self) -> None:
        """Request a path of the level, and read the response for as long as is asked."""
        paths = self._paths()
        path = paths[self._number % len(paths)]
        self.client.get(path)
        until = time.process_time() + (LOAD.burn_ms / 1000 if path in LOAD.burn_on else 0.0)
        while time.process_time() < until:
            pass

    def _paths(self) -> Sequence[str]:
        elapsed = self.environment.shape_class.get_run_time()
        for level in LOAD.levels:
            elapsed -= level.ramp_s + level.hold_s
            if elapsed < 0:
                return level.paths
        return LOAD.levels[-1].paths
