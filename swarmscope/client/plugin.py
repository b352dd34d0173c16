"""Makes swarmscope take part in a Locust process."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any
from uuid import uuid4

import locust_plugins
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from swarmscope.client import (
    checks,
    clock,
    exit_status,
    intake,
    locust_patches,
    option_conflicts,
    options,
    report,
)
from swarmscope.client.capacity import figures
from swarmscope.client.checks import Judge
from swarmscope.client.event_order import listen_first
from swarmscope.client.frozen_options import STOP_TIMEOUT_SECONDS, Options, freeze
from swarmscope.client.health import monitor
from swarmscope.client.master import listening
from swarmscope.client.recording.backlog import REPORT_KEY, Backlog, read_report
from swarmscope.client.recording.listener import Listener
from swarmscope.client.recording.run import Follower, Leader
from swarmscope.client.recording.shipper_process import ShipperProcess
from swarmscope.client.report import Reporting
from swarmscope.client.shapes import shape
from swarmscope.client.web import both_ends, guard
from swarmscope.client.workload import missed, notes
from swarmscope.home import names_database
from swarmscope.journal.format import Header
from swarmscope.runs.thresholds import CANNOT_TELL

logger = logging.getLogger(__name__)

NO_DATABASE = (
    "No runs database is configured, and no stack of `swarmscope up` was found in this directory or"
    " above it: trying localhost at PostgreSQL's default port. Set SWARMSCOPE_HOME to the home of a"
    " stack, or PGHOST and PGPORT to where the database is"
)


def register() -> None:
    """Add our options, and take the place of locust-plugins' Timescale listener."""
    intake.install()
    option_conflicts.register(options.add_arguments)
    events.quitting.remove_listener(locust_plugins.do_checks)
    events.init.remove_listener(locust_plugins.on_locust_init)
    # before others' handlers: while one waits, samples would go unrecorded
    listen_first(events.init, attach)


def attach(environment: Environment, **_: object) -> None:
    """Attach every feature to this Locust process, in the order in which they handle events."""
    locust_patches.attach(environment)
    exit_status.attach(environment)
    parsed: Any = environment.parsed_options
    if parsed is not None:
        guard.attach(environment)
        listening.attach(environment)
        frozen = freeze(parsed, os.environ) if parsed.timescale else None
        reporting = report.attach(environment, frozen)
        judge = checks.attach(environment, frozen)
        if frozen:
            _attach_recording(environment, frozen, judge, reporting)
        else:
            monitor.attach(environment)  # what a run's figures are worth matters without a database
    missed.attach(environment)
    notes.attach(environment)
    shape.attach(environment, figures.attach(environment))


def _attach_recording(
    environment: Environment, frozen: Options, judge: Judge | None, reporting: Reporting | None
) -> None:
    """Record what this process does, and deliver it."""
    runner = environment.runner
    if runner is None:
        return
    leads = not isinstance(runner, WorkerRunner)
    host = socket.gethostname()
    worker = getattr(runner, "client_id", f"{host}_master_{uuid4().hex}")
    header = Header(uuid4().hex, 0, 0, worker, host, os.getpid(), leads)
    listener = Listener(frozen, header)
    if not isinstance(runner, MasterRunner):
        listen_first(environment.events.request, listener.on_request)
    listen_first(environment.events.user_error, listener.on_user_error)
    environment.events.cpu_warning.add_listener(listener.on_cpu_warning)
    shipper = ShipperProcess(frozen, listener)
    if leads:
        _lead(environment, frozen, listener, shipper, judge, reporting)
    else:
        _follow(environment, listener, shipper)


def _lead(
    environment: Environment,
    frozen: Options,
    listener: Listener,
    shipper: ShipperProcess,
    judge: Judge | None,
    reporting: Reporting | None,
) -> None:
    if not (frozen.knows_database or frozen.keep_journals or names_database(os.environ)):
        logger.warning(NO_DATABASE)
    leader = Leader(environment, frozen, listener)
    workers = _Workers()
    if not environment.stop_timeout:  # requests in flight at a stop are to be recorded
        environment.stop_timeout = STOP_TIMEOUT_SECONDS
    both_ends.attach(environment, frozen)
    clock.attach(environment)
    if isinstance(environment.runner, MasterRunner):
        environment.events.worker_report.add_listener(workers.on_worker_report)

    def backlogs() -> dict[str, Backlog]:
        return {listener.worker: shipper.backlog(), **workers.backlogs}

    def on_quit(exit_code: int | None, **_: object) -> None:
        status = _status(exit_code, backlogs())
        leader.quit(status)
        listener.close()
        status = _status(status, backlogs())
        waited_s, began = judge.waited_s if judge else 0.0, time.monotonic()
        shipper.wait(workers.journals, shows=True, spent_s=waited_s)
        if reporting and not reporting.finish(spent_s=waited_s + time.monotonic() - began):
            status = status or report.FAILED
        if status != exit_code:
            raise SystemExit(status)  # little of Locust's own shutdown is left

    environment.events.quit.add_listener(on_quit)
    monitor.attach(environment, listener, leader, backlogs)


def _status(exit_code: int | None, backlogs: dict[str, Backlog]) -> int | None:
    """Return the exit status of a run that may have lost samples: never 0 then."""
    if exit_code or all(backlog.is_whole for backlog in backlogs.values()):
        return exit_code
    dropped = sum(backlog.dropped for backlog in backlogs.values())
    logger.error(
        "Samples were lost (samples dropped: %s, journals removed: %s): exit status %s",
        *(dropped, sum(backlog.removed for backlog in backlogs.values()), CANNOT_TELL),
    )
    return CANNOT_TELL


class _Workers:
    """What workers report of their journals."""

    def __init__(self) -> None:
        self.journals: set[str] = set()
        self.backlogs: dict[str, Backlog] = {}

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        if REPORT_KEY in data:
            journal, self.backlogs[client_id] = read_report(data[REPORT_KEY])
            self.journals.add(journal)


def _follow(environment: Environment, listener: Listener, shipper: ShipperProcess) -> None:
    clock.attach(environment)
    Follower(environment, listener)

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        data[REPORT_KEY] = shipper.backlog().as_message(listener.journal)

    def on_quit(**_: object) -> None:
        listener.finish()
        listener.close()
        shipper.wait(set(), shows=False)

    environment.events.report_to_master.add_listener(on_report_to_master)
    environment.events.quit.add_listener(on_quit)
    monitor.attach(environment, listener)
