"""Garbage collection that does not stop a Locust process in the middle of a swarm.

Each user is some hundred objects that live as long as the swarm does, and Python's collector looks
through all of them again and again while a ramp adds more: with 5,000 users in a process that was
up to a second at a time, in which no request is sent and every answer waits.
"""

from __future__ import annotations

import gc
from typing import Any

from locust.env import Environment

YOUNG_OBJECTS = 50_000  # made, less gone, before the collector looks; Python's own is 700


def watch(environment: Environment) -> None:
    """Look for garbage rarely, and never among the users of a swarm that is complete."""
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    environment.events.spawning_complete.add_listener(_keep)
    environment.events.test_stop.add_listener(_let_go)


def _keep(**_: Any) -> None:
    gc.freeze()


def _let_go(**_: Any) -> None:
    gc.unfreeze()
