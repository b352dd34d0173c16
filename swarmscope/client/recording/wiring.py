"""Attaches recording to a Locust process: what it leads or takes part in, and how it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from swarmscope.client import report, run_summary
from swarmscope.client.checks import Judge
from swarmscope.client.events import listen_first
from swarmscope.client.frozen_options import STOP_TIMEOUT_SECONDS, Options
from swarmscope.client.recording.backlog import REPORT_KEY, Backlog, WorkerBacklogs, exit_status
from swarmscope.client.recording.listener import Listener
from swarmscope.client.recording.run import Follower, Leader
from swarmscope.client.recording.shipper_process import ShipperProcess
from swarmscope.client.recording.start_headers import StartHeaders
from swarmscope.client.report import Reporting
from swarmscope.home import names_database
from swarmscope.journal.format import Header

logger = logging.getLogger(__name__)

NO_DATABASE = (
    "No runs database is configured, and no stack of `swarmscope up` was found in this directory or"
    " above it: trying localhost at PostgreSQL's default port. Set SWARMSCOPE_HOME to the home of a"
    " stack, or PGHOST and PGPORT to where the database is"
)


@dataclass(frozen=True)
class Recording:
    """What records a Locust process; *leader* and *backlogs* are for the one that leads runs."""

    listener: Listener
    leader: Leader | None = None
    backlogs: Callable[[], dict[str, Backlog]] = dict


def attach(
    environment: Environment, options: Options, judge: Judge | None, reporting: Reporting | None
) -> Recording:
    """Record what this process does, and deliver it."""
    runner = environment.runner
    leads = not isinstance(runner, WorkerRunner)
    host = socket.gethostname()
    worker = getattr(runner, "client_id", f"{host}_master_{uuid4().hex}")
    listener = Listener(options, Header(uuid4().hex, 0, 0, worker, host, os.getpid(), leads))
    if not isinstance(runner, MasterRunner):
        listen_first(environment.events.request, listener.on_request)
        StartHeaders(listener)
    listen_first(environment.events.user_error, listener.on_user_error)
    environment.events.cpu_warning.add_listener(listener.on_cpu_warning)
    shipper = ShipperProcess(options, listener)
    if not leads:
        return _follow(environment, listener, shipper)
    if not (options.knows_database or options.keep_journals or names_database(os.environ)):
        logger.warning(NO_DATABASE)
    if not environment.stop_timeout:  # requests in flight at a stop are to be recorded
        environment.stop_timeout = STOP_TIMEOUT_SECONDS
    return _lead(environment, options, listener, shipper, judge, reporting)


def _lead(
    environment: Environment,
    options: Options,
    listener: Listener,
    shipper: ShipperProcess,
    judge: Judge | None,
    reporting: Reporting | None,
) -> Recording:
    leader, workers = Leader(environment, options, listener), WorkerBacklogs()
    parsed: Any = environment.parsed_options
    if isinstance(environment.runner, MasterRunner):
        environment.events.worker_report.add_listener(workers.on_worker_report)

    def backlogs() -> dict[str, Backlog]:
        return {listener.worker: shipper.backlog(), **workers.backlogs}

    def on_quit(exit_code: int | None, **_: object) -> None:
        status = exit_status(exit_code, backlogs())
        leader.quit(status)
        listener.close()
        status = exit_status(status, backlogs())
        waited_s = judge.waited_s if judge else 0.0
        began = time.monotonic() - waited_s
        delivered = shipper.wait(workers.journals, shows=True, spent_s=waited_s)
        if reporting and not reporting.finish(spent_s=time.monotonic() - began):
            status = status or report.FAILED
        if delivered and leader.latest and parsed.headless:
            left_s = max(options.drain_seconds - (time.monotonic() - began), 0.0)
            with contextlib.suppress(OSError):  # such as a full disk: the status is to be kept
                run_summary.show(options, leader.latest, left_s, parsed)
        if status != exit_code:
            raise SystemExit(status)  # little of Locust's own shutdown is left

    environment.events.quit.add_listener(on_quit)
    return Recording(listener, leader, backlogs)


def _follow(environment: Environment, listener: Listener, shipper: ShipperProcess) -> Recording:
    Follower(environment, listener)

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        data[REPORT_KEY] = shipper.backlog().as_message(listener.spool.journal)

    def on_quit(**_: object) -> None:
        listener.finish()
        listener.close()
        shipper.wait(set(), shows=False)

    environment.events.report_to_master.add_listener(on_report_to_master)
    environment.events.quit.add_listener(on_quit)
    return Recording(listener)
