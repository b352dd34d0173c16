"""What the process that leads a swarm knows of it: live figures and the generator's health."""

from __future__ import annotations

import time
from typing import Any

from locust.env import Environment
from locust.runners import WORKER_REPORT_INTERVAL, LocalRunner, MasterRunner

from swarmscope.client.capacity import figures
from swarmscope.client.capacity.figures import Recorder, Seconds
from swarmscope.client.health import monitor
from swarmscope.client.health.probe import Health, HealthProbe
from swarmscope.client.health.trust import TrustKeeper
from swarmscope.client.workload import population


class LiveFigures:
    """Gathers figures and health from all processes, for the shape that steers the swarm."""

    def __init__(self, environment: Environment, recorder: Recorder | None) -> None:
        self.seconds = Seconds()
        self.trust = TrustKeeper()
        self._recorder = recorder
        self._probe: HealthProbe | None = None
        self._probed = 0.0
        self._environment = environment
        self._starting: dict[str, int] = {}  # users of each worker that are in their on_start
        if isinstance(environment.runner, LocalRunner):
            self._probe = HealthProbe(environment)
        elif isinstance(environment.runner, MasterRunner):
            figures.gather(environment, self.seconds)
            environment.events.worker_report.add_listener(self._on_worker_report)
        self.lag_s = 1.0 if recorder else WORKER_REPORT_INTERVAL + 1.5

    def take(self) -> None:
        """Add what this process itself has measured."""
        if self._recorder:
            self.seconds.add(self._recorder.take())
        if self._probe and time.monotonic() > self._probed + WORKER_REPORT_INTERVAL:
            self._probed = time.monotonic()
            self.trust.add(monitor.LOCAL_WORKER, self._probe.take())

    def begin(self) -> None:
        """Judge the generator by what it reports from now on."""
        if self._probe:
            self._probe.take()
            self._probed = time.monotonic()
        self.trust.begin()

    def saturated(self) -> bool:
        """Whether the generator was, since `begin`."""
        trust = self.trust.verdict()
        return trust is not None and trust.saturated

    def starting(self) -> int:
        """Return how many users are still in their ``on_start``."""
        runner = self._environment.runner
        if isinstance(runner, MasterRunner):
            return sum(self._starting.get(worker, 0) for worker in runner.clients)
        return population.starting(runner) if runner else 0

    def until(self) -> int:
        """Return the second before which all figures have arrived."""
        return int(time.time() - self.lag_s)

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        self._starting[client_id] = data.get(figures.STARTING_KEY, 0)
        message = data.get(monitor.MESSAGE_KEY)
        if message is not None:
            self.trust.add(client_id, Health.from_message(message))
