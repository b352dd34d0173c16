"""Wires the generator's health into Locust: probes, reports, metrics port, the closing warning."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, WORKER_REPORT_INTERVAL, MasterRunner, WorkerRunner

from swarmscope.client import clock
from swarmscope.client.events import announce, listen_first
from swarmscope.client.health.probe import Health, HealthProbe
from swarmscope.client.health.self_profiling import SelfProfiling
from swarmscope.client.health.trust import TrustKeeper
from swarmscope.client.recording.backlog import Backlog
from swarmscope.client.recording.listener import Listener
from swarmscope.client.recording.run import Leader
from swarmscope.client.recording.wiring import Recording
from swarmscope.journal.records import GeneratorHealth

logger = logging.getLogger(__name__)

MESSAGE_KEY = "swarmscope_health"
LOCAL_WORKER = "local"


def attach(environment: Environment, recording: Recording | None = None) -> TrustKeeper | None:
    """Measure in processes that run users; collect, judge and serve in the one that leads them.

    What a run's figures are worth matters without a database too. A *recording* hands over its
    samples in batches, which costs less than an event each, and stores the figures in its run.
    Returns what is collected, None in a worker.
    """
    runner = environment.runner
    batches = recording.listener.batches if recording else None
    leader = recording.leader if recording else None
    own = SelfProfiling(environment, recording.listener) if recording else None
    if isinstance(runner, WorkerRunner):
        _report(environment, HealthProbe(environment, batches), own)
        return None
    keeper = TrustKeeper()
    if isinstance(runner, MasterRunner):
        _collect(environment, keeper)
    else:
        gevent.spawn(_collect_own, HealthProbe(environment, batches), keeper, own)
    _judge(environment, keeper)
    if recording and leader:
        gevent.spawn(_record, keeper, leader, recording.listener)
    options = environment.parsed_options
    if options is not None and options.metrics_port:
        _serve(environment, keeper, leader, recording.backlogs if recording else dict)
    return keeper


def _serve(
    environment: Environment,
    keeper: TrustKeeper,
    leader: Leader | None,
    backlogs: Callable[[], dict[str, Backlog]],
) -> None:
    """Serve the metrics port."""
    from swarmscope.client.health import exporter  # prometheus_client would cost workers 2 MB

    options: Any = environment.parsed_options
    objective = (lambda: leader.objective) if leader else (lambda: None)
    collector = exporter.LocustCollector(environment, keeper, objective, backlogs, time.time)
    exporter.serve(collector, options.metrics_host, options.metrics_port)


def _record(keeper: TrustKeeper, leader: Leader, listener: Listener) -> None:
    """Record the generator's health at each interval of a run."""
    while True:
        gevent.sleep(WORKER_REPORT_INTERVAL)
        if leader.run and (figures := keeper.now(time.time())):
            listener.record(GeneratorHealth(leader.run, clock.own(), *figures))


def _report(environment: Environment, probe: HealthProbe, own: SelfProfiling | None) -> None:
    """Add this worker's health to each of its reports."""

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        health = probe.take()
        data[MESSAGE_KEY] = health.as_message()
        if own:
            own.take(health)

    environment.events.report_to_master.add_listener(on_report_to_master)


def _collect(environment: Environment, keeper: TrustKeeper) -> None:
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


def _collect_own(probe: HealthProbe, keeper: TrustKeeper, own: SelfProfiling | None) -> None:
    while True:
        gevent.sleep(WORKER_REPORT_INTERVAL)
        health = probe.take()
        keeper.add(LOCAL_WORKER, health)
        if own:
            own.take(health)


def _judge(environment: Environment, keeper: TrustKeeper) -> None:
    """Judge each run by the reports since its first ramp was complete; warn when it ends."""

    def judge(**_: object) -> None:
        trust = keeper.verdict()
        if trust:
            announce(environment, "trust", trust.sentence(), trust.details())
        if trust and (warning := trust.warning()):
            logger.warning(warning)

    environment.events.test_start.add_listener(lambda **_: keeper.begin())
    environment.events.spawning_complete.add_listener(lambda **_: keeper.end_ramp())
    # before what records it ends the run
    listen_first(environment.events.test_stop, judge)
