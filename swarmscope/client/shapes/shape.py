"""What all shapes have in common: how one is chosen, and how it announces its stages."""

from __future__ import annotations

import logging
import sys
from typing import Any, ClassVar

from locust import LoadTestShape
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope.client import locust_patches
from swarmscope.client.capacity.figures import Recorder
from swarmscope.client.events import announce
from swarmscope.client.frozen_options import Options

logger = logging.getLogger(__name__)


class Shape(LoadTestShape):
    """Drives a swarm that chose it, and announces each of its stages."""

    abstract = True
    seeks_capacity: ClassVar[bool] = False  # goes beyond the objective on purpose
    # until `attach`: else Locust warns of ignored --users, for a shape that was not chosen
    use_common_options = True

    def stage(self) -> str | None:
        """Return the name of the current stage, with its users."""
        raise NotImplementedError

    def prepare(
        self, environment: Environment, recorder: Recorder | None, options: Options | None = None
    ) -> None:
        """Take part in this process, once.

        *recorder* is None where no users run, *options* where nothing is recorded.
        """
        environment.events.test_start.add_listener(self._on_test_start)

    def announce(self) -> None:
        """Announce the stage that has started."""
        if (stage := self.stage()) and self.runner:
            announce(self.runner.environment, "stage", stage)
            logger.info("Stage %s", stage)

    def _on_test_start(self, environment: Environment, **_: object) -> None:
        """Announce the first stage, which Locust gets before the run has started."""
        if environment.shape_class is self:
            self.announce()


def attach(
    environment: Environment, recorder: Recorder | None, recording: Options | None = None
) -> None:
    """Choose the shape that drives the swarm: what ``--shape`` names, else the scenario's own.

    Locust would take the first that any locustfile has, also one that it merely imports from
    `swarmscope.client`. Exits when there is no such shape.
    """
    options: Any = environment.parsed_options
    available = environment.available_shape_classes or {}
    if not available or options is None or isinstance(environment.runner, WorkerRunner):
        return
    if options.shape and options.shape not in available:
        sys.exit(f"--shape {options.shape}: no such shape; available: {', '.join(available)}")
    chosen = available[options.shape] if options.shape else _own(available)
    environment.shape_class = chosen
    if chosen is None:
        logger.info("No shape drives this swarm; --shape can choose %s", ", ".join(available))
    else:
        chosen.runner = environment.runner
        if options.headless:
            locust_patches.stop_in_order(environment)
    for shape in available.values():
        if isinstance(shape, Shape):
            type(shape).use_common_options = False
            shape.prepare(environment, recorder, recording)


def _own(available: dict[str, LoadTestShape]) -> LoadTestShape | None:
    """Return the first shape that a scenario defines itself; None when all are swarmscope's."""
    own = (shape for shape in available.values() if not _is_ours(type(shape)))
    return next(own, None)


def _is_ours(shape_class: type[LoadTestShape]) -> bool:
    return shape_class.__module__.partition(".")[0] == __name__.partition(".")[0]
