"""Wires the generator's health into Locust: probes, reports, metrics port, the closing warning."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, WORKER_REPORT_INTERVAL, MasterRunner, WorkerRunner

from swarmscope.client.events import announce
from swarmscope.client.health.exporter import LocustCollector, RunInfo, Shipping, serve
from swarmscope.client.health.probe import Batches, Health, HealthProbe
from swarmscope.client.health.trust import TrustKeeper

logger = logging.getLogger(__name__)

MESSAGE_KEY = "swarmscope_health"
LOCAL_WORKER = "local"


def _no_run() -> RunInfo | None:
    return None


def _no_shipping() -> dict[str, Shipping]:
    return {}


def attach(
    environment: Environment,
    run_info: Callable[[], RunInfo | None] = _no_run,
    shipping: Callable[[], dict[str, Shipping]] = _no_shipping,
    batches: Batches | None = None,
) -> TrustKeeper | None:
    """Measure in processes that run users, gather and serve in the one that leads them.

    *batches* is where to ask for the samples of this process, if somebody gathers them. Returns
    what has been gathered.
    """
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        _report(environment, HealthProbe(environment, batches))
        return None
    keeper = TrustKeeper()
    if isinstance(runner, MasterRunner):
        _gather(environment, keeper)
    else:
        gevent.spawn(_gather_own, HealthProbe(environment, batches), keeper)
    _judge(environment, keeper)
    options = environment.parsed_options
    if options is not None and options.metrics_port:
        collector = LocustCollector(environment, keeper, run_info, shipping, time.time)
        serve(collector, options.metrics_host, options.metrics_port)
    return keeper


def _report(environment: Environment, probe: HealthProbe) -> None:
    """Let each of this worker's reports carry its health."""

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        data[MESSAGE_KEY] = probe.take().as_message()

    environment.events.report_to_master.add_listener(on_report_to_master)


def _gather(environment: Environment, keeper: TrustKeeper) -> None:
    """Take the workers' health out of their reports; a worker without swarmscope has none."""

    def on_worker_report(client_id: str, data: dict[str, Any], **_: object) -> None:
        message = data.get(MESSAGE_KEY)
        if message is not None:
            keeper.add(client_id, Health.from_message(message))
        runner = environment.runner
        assert isinstance(runner, MasterRunner)
        there = {name for name, node in runner.clients.items() if node.state != STATE_MISSING}
        for gone in keeper.latest.keys() - there:
            keeper.forget(gone)

    environment.events.worker_report.add_listener(on_worker_report)


def _gather_own(probe: HealthProbe, keeper: TrustKeeper) -> None:
    while True:
        gevent.sleep(WORKER_REPORT_INTERVAL)
        keeper.add(LOCAL_WORKER, probe.take())


def _judge(environment: Environment, keeper: TrustKeeper) -> None:
    """Judge each run by the reports since its first ramp was complete; warn when it ends."""

    def begin(**_: object) -> None:
        keeper.begin()

    def end_ramp(**_: object) -> None:
        keeper.end_ramp()

    def judge(**_: object) -> None:
        trust = keeper.verdict()
        if trust:
            announce(environment, "trust", trust.sentence(), trust.details())
        if trust and (warning := trust.warning()):
            logger.warning(warning)

    environment.events.test_start.add_listener(begin)
    environment.events.spawning_complete.add_listener(end_ramp)
    environment.events.test_stop._handlers.insert(
        0, judge
    )  # before who writes it down ends the run
