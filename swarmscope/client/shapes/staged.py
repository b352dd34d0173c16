"""Shapes that follow a table of stages: a base class for a scenario's own, and five to choose from.

A shape is offered in the class picker of Locust's UI (``--class-picker``) and chosen by
``--shape NAME`` without a UI; importing one does not choose it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from locust.env import Environment
from locust.runners import STATE_INIT
from locust.util.timespan import parse_timespan

from swarmscope.client.capacity.figures import Recorder
from swarmscope.client.frozen_options import Options
from swarmscope.client.shapes.shape import Shape

logger = logging.getLogger(__name__)

CALM_SHARE = 0.2  # of a spike's users, before and after it


@dataclass(frozen=True)
class Stage:
    """A ramp to a number of users, and how long they are held.

    ``Stage("rush", users=200, ramp_s=30, hold_s=300)`` takes 330 seconds; see `Staged`.
    """

    name: str
    users: int
    ramp_s: float
    hold_s: float

    @property
    def seconds(self) -> float:
        """How long the stage lasts."""
        return self.ramp_s + self.hold_s


class Staged(Shape):
    """Drives a swarm along a table of stages.

    Subclass it in a locustfile, where it drives without being chosen::

        from swarmscope.client import Stage, Staged


        class Morning(Staged):
            stages = (
                Stage("opening", users=20, ramp_s=10, hold_s=60),
                Stage("rush", users=200, ramp_s=30, hold_s=300),
                Stage("closing", users=0, ramp_s=30, hold_s=0),
            )
    """

    abstract = True
    stages: Sequence[Stage] = ()

    def __init__(self) -> None:
        super().__init__()
        self._index: int | None = None

    def read_options(self, options: Any) -> None:
        """Take the stages from Locust's parsed options; raises ValueError for a bad one."""
        if not self.stages:
            raise ValueError(f"the shape {type(self).__name__} has no stages")

    def tick(self) -> tuple[int, float] | None:
        """Return (users, spawn rate) of the current stage, None after the last."""
        assert self.runner is not None
        if self.runner.state == STATE_INIT:
            self._begin(self.runner.environment.parsed_options)
        else:
            elapsed = self.get_run_time()
            run_time = getattr(self.runner.environment.parsed_options, "run_time", None)
            is_over = bool(run_time) and elapsed >= run_time
            self._move(None if is_over else position(self.stages, elapsed))
        if self._index is None:
            return None
        return self.stages[self._index].users, spawn_rate(self.stages, self._index)

    def stage(self) -> str | None:
        """Return the name of the current stage, with its users."""
        if self._index is None:
            return None
        stage = self.stages[self._index]
        return f"{stage.name}: {stage.users} users"

    def prepare(
        self, environment: Environment, recorder: Recorder | None, options: Options | None = None
    ) -> None:
        """Take part in this process; exits when a parameter cannot be read."""
        super().prepare(environment, recorder, options)
        try:
            self.read_options(environment.parsed_options)
        except ValueError as error:
            sys.exit(str(error))

    def _begin(self, options: Any) -> None:
        """Read the options again: the UI may have changed them since the last run."""
        try:
            self.read_options(options)
            self._index = 0
        except ValueError as error:
            logger.error("The shape cannot drive a swarm: %s", error)
            self._index = None

    def _move(self, index: int | None) -> None:
        if index != self._index:
            self._index = index
            self.announce()


def position(stages: Sequence[Stage], elapsed_s: float) -> int | None:
    """Return the index of the stage *elapsed_s* after the start; None after all."""
    end = 0.0
    for index, stage in enumerate(stages):
        end += stage.seconds
        if elapsed_s < end:
            return index
    return None


def spawn_rate(stages: Sequence[Stage], index: int) -> float:
    """Return the users to start or stop per second so that a stage's ramp takes its time."""
    before = stages[index - 1].users if index else 0
    change = abs(stages[index].users - before)
    return change / max(stages[index].ramp_s, 1.0) if change else 1.0


@dataclass(frozen=True)
class Load:
    """The figures that the stages of our own shapes are made of."""

    users: int  # at the top
    ramp_s: float  # of each ramp
    hold_s: float  # of each stage that is held
    steps: int = 1


class Adjustable(Staged):
    """A shape whose figures ``--shape-users`` and the like replace."""

    abstract = True
    load: ClassVar[Load]

    def read_options(self, options: Any) -> None:
        """Make the stages of the shape's own figures and of those given."""
        self.stages = self.table(adjusted(self.load, options))

    @staticmethod
    def table(load: Load) -> tuple[Stage, ...]:
        """Return the stages that *load* amounts to."""
        raise NotImplementedError


def adjusted(load: Load, options: Any) -> Load:
    """Return *load* with what Locust's parsed options replace; raises ValueError for a bad one."""
    given = {
        "users": _read("--shape-users", options.shape_users, int),
        "ramp_s": _read("--shape-ramp", options.shape_ramp, parse_timespan),
        "hold_s": _read("--shape-hold", options.shape_hold, parse_timespan),
        "steps": _read("--shape-steps", options.shape_steps, int),
    }
    return replace(load, **{name: value for name, value in given.items() if value is not None})


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


class Smoke(Adjustable):
    """Very few users for a short time: does it work at all?

    Offered by importing it into a locustfile, and chosen by ``--shape Smoke``::

        from swarmscope.client import Smoke
    """

    load = Load(users=2, ramp_s=1, hold_s=30)

    @staticmethod
    def table(load: Load) -> tuple[Stage, ...]:
        """Return one level."""
        return (Stage("smoke", load.users, load.ramp_s, load.hold_s),)


class Steady(Adjustable):
    """One ramp, one level: how does it do under the load that is expected?

    ``locust --shape Steady --shape-users 200 --shape-hold 10m`` holds 200 users for ten minutes.
    """

    load = Load(users=50, ramp_s=30, hold_s=300)

    @staticmethod
    def table(load: Load) -> tuple[Stage, ...]:
        """Return one level."""
        return (Stage("steady", load.users, load.ramp_s, load.hold_s),)


class Steps(Adjustable):
    """Levels of equal height, one on top of the other: where does it begin to bend?

    ``locust --shape Steps --shape-users 500 --shape-steps 10`` adds 50 users at each step.
    """

    load = Load(users=100, ramp_s=5, hold_s=30, steps=5)

    @staticmethod
    def table(load: Load) -> tuple[Stage, ...]:
        """Return as many levels as there are steps."""
        users = [load.users * number // load.steps for number in range(1, load.steps + 1)]
        return tuple(
            Stage(f"step {number} of {load.steps}", height, load.ramp_s, load.hold_s)
            for number, height in enumerate(users, 1)
        )


class Spike(Adjustable):
    """Calm, a burst five times as large, calm again: does it recover?

    ``locust --shape Spike --shape-users 500`` goes from 100 users to 500 and back.
    """

    load = Load(users=100, ramp_s=5, hold_s=60)

    @staticmethod
    def table(load: Load) -> tuple[Stage, ...]:
        """Return three levels."""
        calm = max(round(load.users * CALM_SHARE), 1)
        return (
            Stage("calm", calm, load.ramp_s, load.hold_s),
            Stage("spike", load.users, load.ramp_s, load.hold_s),
            Stage("recovery", calm, load.ramp_s, load.hold_s),
        )


class Soak(Adjustable):
    """A ramp, a long hold, a ramp down: what leaks, what fills up?

    ``locust --shape Soak --shape-hold 8h`` runs overnight.
    """

    load = Load(users=50, ramp_s=60, hold_s=3600)

    @staticmethod
    def table(load: Load) -> tuple[Stage, ...]:
        """Return one level and the way down."""
        return (
            Stage("soak", load.users, load.ramp_s, load.hold_s),
            Stage("ramp down", 0, load.ramp_s, 0.0),
        )
