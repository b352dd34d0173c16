"""Load shapes for a locustfile: ``from swarmscope.client.shapes import Smoke, Steps``.

A shape is offered in the class picker of Locust's UI (``--class-picker``) and chosen by
``--shape NAME`` without a UI; a swarm that chose none is driven by none. What ``--shape-users``,
``--shape-ramp``, ``--shape-hold`` and ``--shape-steps`` leave open is the shape's own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from locust import LoadTestShape
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import STATE_INIT, WorkerRunner
from locust.util.timespan import parse_timespan

from swarmscope.client import stages
from swarmscope.client.announcements import announce
from swarmscope.client.stages import Load, Parameters, Stage

logger = logging.getLogger(__name__)

__all__ = ["Smoke", "Soak", "Spike", "Steady", "Steps"]


class Shape(LoadTestShape):
    """Drives a swarm along a table of stages, and announces each."""

    abstract = True
    # until `choose`: Locust would warn that --users are ignored because of a shape nobody chose
    use_common_options = True
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
            self._move(stages.position(self._stages, self.get_run_time()))
        if self._index is None:
            return None
        users = self._stages[self._index].users
        return users, stages.spawn_rate(self._stages, self._index)

    def _begin(self, options: Any) -> None:
        """Make the stages anew: the UI may have changed the parameters since the last run."""
        try:
            load = self.load.with_parameters(read(options))
        except ValueError as error:
            logger.error("The shape cannot drive a swarm: %s", error)
            self._stages, self._index = (), None
        else:
            self._stages, self._index = type(self).table(load), 0

    def on_test_start(self, environment: Environment, **_: object) -> None:
        """Announce the first stage, which Locust asks for before the run has begun."""
        if environment.shape_class is self:
            self._announce()

    def _move(self, index: int | None) -> None:
        if index != self._index:
            self._index = index
            self._announce()

    def _announce(self) -> None:
        assert self.runner is not None
        if self._index is not None:
            stage = self._stages[self._index]
            text = f"{stage.name}: {stage.users} users"
            announce(self.runner.environment, "stage", text)
            logger.info("Stage %s", text)


class Smoke(Shape):
    """A short stay of very few users: does it work at all?"""

    load = Load(users=2, ramp_s=1, hold_s=30)
    table = staticmethod(stages.smoke)


class Steady(Shape):
    """One ramp and one level."""

    load = Load(users=50, ramp_s=30, hold_s=300)
    table = staticmethod(stages.steady)


class Steps(Shape):
    """Levels of equal height, one upon the other: where does it begin to bend?"""

    load = Load(users=100, ramp_s=5, hold_s=30, steps=5)
    table = staticmethod(stages.steps)


class Spike(Shape):
    """Calm, a burst five times as large, calm again: does it recover?"""

    load = Load(users=100, ramp_s=5, hold_s=60)
    table = staticmethod(stages.spike)


class Soak(Shape):
    """A ramp, a long stay, a ramp down: what leaks, what fills up?"""

    load = Load(users=50, ramp_s=60, hold_s=3600)
    table = staticmethod(stages.soak)


def add_arguments(parser: LocustArgumentParser) -> None:
    """Add the option that chooses a shape, and the shapes' parameters, which the UI shows too."""
    group = parser.add_argument_group("swarmscope - Load shapes")
    group.add_argument(
        "--shape",
        env_var="LOCUST_SHAPE",
        default="",
        help="Name of the shape that drives the swarm; the UI's class picker offers all",
    )
    own = "; empty: the shape's own"
    for name, words in (
        ("users", "Users at the top of a shape" + own),
        ("ramp", "How long each ramp of a shape takes (20, 30s, 5m)" + own),
        ("hold", "How long a shape holds each stage (20, 30s, 1h30m)" + own),
        ("steps", "Number of steps of the shape Steps" + own),
    ):
        variable = f"LOCUST_SHAPE_{name.upper()}"
        action = group.add_argument(f"--shape-{name}", env_var=variable, default="", help=words)
        action.include_in_web_ui = True


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


def choose(environment: Environment) -> None:
    """Let the shape that ``--shape`` names drive the swarm, or none.

    Locust would take the first that any locustfile has. Exits when there is no such shape.
    """
    options: Any = environment.parsed_options
    available = environment.available_shape_classes or {}
    if not available or options is None or isinstance(environment.runner, WorkerRunner):
        return
    if options.shape and options.shape not in available:
        sys.exit(f"--shape {options.shape}: there is no such shape, but {', '.join(available)}")
    try:
        read(options)
    except ValueError as error:
        sys.exit(str(error))
    chosen = available.get(options.shape)
    environment.shape_class = chosen
    if chosen is None:
        logger.info("No shape drives this swarm; --shape may name %s", ", ".join(available))
    else:
        chosen.runner = environment.runner
    for shape in available.values():
        if isinstance(shape, Shape):
            type(shape).use_common_options = False
            environment.events.test_start.add_listener(shape.on_test_start)
