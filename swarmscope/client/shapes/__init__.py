"""Load shapes for a locustfile: ``from swarmscope.client.shapes import Smoke, Steps``.

A shape is offered in the class picker of Locust's UI (``--class-picker``) and chosen by
``--shape NAME`` without a UI; to import one is not to choose it. What ``--shape-users``,
``--shape-ramp``, ``--shape-hold`` and ``--shape-steps`` leave open is the shape's own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from locust.env import Environment
from locust.runners import STATE_INIT
from locust.util.timespan import parse_timespan

from swarmscope.client.capacity.figures import Recorder
from swarmscope.client.shapes import stages
from swarmscope.client.shapes.capacity import Capacity
from swarmscope.client.shapes.shape import Shape
from swarmscope.client.shapes.stages import Load, Parameters, Stage

logger = logging.getLogger(__name__)

__all__ = ["Capacity", "Smoke", "Soak", "Spike", "Steady", "Steps"]


class Staged(Shape):
    """Drives a swarm along a table of stages."""

    abstract = True
    load: ClassVar[Load]
    table: ClassVar[staticmethod[[Load], tuple[Stage, ...]]]

    def __init__(self) -> None:
        super().__init__()
        self._stages: tuple[Stage, ...] = ()
        self._index: int | None = None

    def tick(self) -> tuple[int, float] | None:
        """Return (users, spawn rate) of the stage that is on, None after the last."""
        assert self.runner is not None
        if self.runner.state == STATE_INIT:
            self._begin(self.runner.environment.parsed_options)
        else:
            elapsed = self.get_run_time()
            run_time = getattr(self.runner.environment.parsed_options, "run_time", None)
            is_over = bool(run_time) and elapsed >= run_time
            self._move(None if is_over else stages.position(self._stages, elapsed))
        if self._index is None:
            return None
        users = self._stages[self._index].users
        return users, stages.spawn_rate(self._stages, self._index)

    def stage(self) -> str | None:
        """Return the name of the stage that is on, with its users."""
        if self._index is None:
            return None
        stage = self._stages[self._index]
        return f"{stage.name}: {stage.users} users"

    def prepare(self, environment: Environment, recorder: Recorder | None) -> None:
        """Take part in this process; exits when a parameter cannot be read."""
        super().prepare(environment, recorder)
        try:
            read(environment.parsed_options)
        except ValueError as error:
            sys.exit(str(error))

    def _begin(self, options: Any) -> None:
        """Make the stages anew: the UI may have changed the parameters since the last run."""
        try:
            load = self.load.with_parameters(read(options))
        except ValueError as error:
            logger.error("The shape cannot drive a swarm: %s", error)
            self._stages, self._index = (), None
        else:
            self._stages, self._index = type(self).table(load), 0

    def _move(self, index: int | None) -> None:
        if index != self._index:
            self._index = index
            self.announce()


class Smoke(Staged):
    """A short stay of very few users: does it work at all?"""

    load = Load(users=2, ramp_s=1, hold_s=30)
    table = staticmethod(stages.smoke)


class Steady(Staged):
    """One ramp and one level."""

    load = Load(users=50, ramp_s=30, hold_s=300)
    table = staticmethod(stages.steady)


class Steps(Staged):
    """Levels of equal height, one upon the other: where does it begin to bend?"""

    load = Load(users=100, ramp_s=5, hold_s=30, steps=5)
    table = staticmethod(stages.steps)


class Spike(Staged):
    """Calm, a burst five times as large, calm again: does it recover?"""

    load = Load(users=100, ramp_s=5, hold_s=60)
    table = staticmethod(stages.spike)


class Soak(Staged):
    """A ramp, a long stay, a ramp down: what leaks, what fills up?"""

    load = Load(users=50, ramp_s=60, hold_s=3600)
    table = staticmethod(stages.soak)


def read(options: Any) -> Parameters:
    """Return the shapes' parameters of Locust's parsed options; raises ValueError for a bad one."""
    return Parameters(
        users=_read("--shape-users", options.shape_users, int),
        ramp_s=_read("--shape-ramp", options.shape_ramp, parse_timespan),
        hold_s=_read("--shape-hold", options.shape_hold, parse_timespan),
        steps=_read("--shape-steps", options.shape_steps, int),
    )


def _read(option: str, text: str, convert: Callable[[str], int]) -> int | None:
    if not text.strip():
        return None
    try:
        value = convert(text.strip())
    except ValueError as error:
        raise ValueError(f"{option} {text!r}: {error}") from error
    if value < 1:
        raise ValueError(f"{option} {text!r}: must be at least 1")
    return value
