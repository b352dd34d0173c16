"""The load on a starved service: levels of users who each send one request per second.

``STARVED_LOAD`` is a `Load` as JSON.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence

from locust import task  # first: it patches sockets
from msgspec import Struct, json

from swarmscope.client import FastHttpUser, Stage, Staged, paced

__all__ = ["Levels", "Sender"]


class Level(Struct):
    """So many users, who request one of *paths* at random."""

    users: int
    ramp_s: float
    hold_s: float
    paths: Sequence[str]


class Load(Struct):
    """The levels, and the CPU that a user spends on each response, in ms."""

    levels: Sequence[Level]
    burn_ms: float = 0.0


LOAD = json.decode(os.environ["STARVED_LOAD"], type=Load)


class Levels(Staged):
    """One level after the other."""

    stages = tuple(
        Stage(f"level {number}", level.users, level.ramp_s, level.hold_s)
        for number, level in enumerate(LOAD.levels, 1)
    )


class Sender(FastHttpUser):
    """Sends one request per second, or as soon as the one before is over."""

    wait_time = paced(1)

    @task
    def send(self) -> None:
        """Request a path of the level, and read the response for as long as is asked."""
        self.client.get(random.choice(self._paths()))
        until = time.process_time() + LOAD.burn_ms / 1000
        while time.process_time() < until:
            pass

    def _paths(self) -> Sequence[str]:
        elapsed = self.environment.shape_class.get_run_time()
        for level in LOAD.levels:
            elapsed -= level.ramp_s + level.hold_s
            if elapsed < 0:
                return level.paths
        return LOAD.levels[-1].paths
