"""Makes swarmscope take part in a Locust process."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import astuple
from typing import Any
from uuid import uuid4

import gevent
import locust_plugins
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from swarmscope.client import (
    checks,
    clock,
    exit_status,
    garbage,
    load,
    locust_patches,
    option_conflicts,
    options,
    report,
)
from swarmscope.client.checks import Judge, Wanted
from swarmscope.client.event_order import listen_first
from swarmscope.client.health import monitor
from swarmscope.client.health.exporter import REPORT_KEY, read_report
from swarmscope.client.health.exporter import Shipping as Backlog
from swarmscope.client.master import intake, listening, unknown_workers
from swarmscope.client.options import STOP_TIMEOUT_SECONDS, Options
from swarmscope.client.recording.listener import Listener
from swarmscope.client.recording.run import Follower, Leader
from swarmscope.client.recording.shipper_process import Shipping
from swarmscope.client.web import both_ends, guard
from swarmscope.client.web.allowed_hosts import AllowedHosts
from swarmscope.home import names_database
from swarmscope.journal.segments import Header
from swarmscope.runs.thresholds import CANNOT_TELL

logger = logging.getLogger(__name__)

NO_DATABASE = (
    "No stack of `swarmscope up` was found here or above, and nothing names a runs database: trying"
    " localhost at PostgreSQL's own port. SWARMSCOPE_HOME says where the stack was started, PGHOST"
    " and PGPORT where another database is"
)


def register() -> None:
    """Add our options, and take the place of locust-plugins' Timescale listener."""
    intake.install()
    ours = (options, monitor, report, checks, *load.WITH_OPTIONS)
    option_conflicts.register(*(module.add_arguments for module in ours))
    events.quitting.remove_listener(locust_plugins.do_checks)
    events.init.remove_listener(locust_plugins.on_locust_init)
    # before others' listeners: one that waits would let samples pass unseen
    listen_first(events.init, on_init)
    load.register()


def on_init(environment: Environment, **_: object) -> None:
    """Start what the options ask for; without ``--timescale``, no listener."""
    locust_patches.count_from_now()
    locust_patches.count_every_request()
    locust_patches.name_no_caller()
    locust_patches.keep_connections()
    locust_patches.finish_requests()
    locust_patches.remember_default_arguments()
    exit_status.of(environment)
    garbage.watch(environment)
    parsed: Any = environment.parsed_options
    if parsed is None:
        return
    if isinstance(environment.runner, MasterRunner):
        unknown_workers.send_away(environment)
    report.refuse_without_runs(parsed)
    _protect(environment)
    wanted = checks.wanted(environment)
    if parsed.timescale:
        attach(environment, options.freeze(parsed, os.environ), wanted)
    else:
        checks.watch(environment, wanted)
        monitor.watch(environment)  # whoever reads the figures is to know what they are worth


def _protect(environment: Environment) -> None:
    """Guard the UI, recording or not; an entry that can never match ends the start."""
    try:
        allowed = AllowedHosts(vars(environment.parsed_options).get("web_allowed_hosts") or "")
    except ValueError as error:
        raise SystemExit(str(error)) from error
    if environment.web_ui:
        guard.protect(environment.web_ui, allowed)
        listening.add_check(environment.web_ui)


def attach(environment: Environment, frozen: Options, wanted: Wanted | None = None) -> None:
    """Record what this Locust process does, and deliver it; judge what it led by *wanted*."""
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
    shipping = Shipping(frozen, listener)
    if leads:
        judge = checks.watch(environment, wanted, frozen)
        _lead(environment, frozen, listener, shipping, judge)
    else:
        _follow(environment, listener, shipping)


def _lead(
    environment: Environment,
    frozen: Options,
    listener: Listener,
    shipping: Shipping,
    judge: Judge | None,
) -> None:
    if not (frozen.knows_database or frozen.keep_journals or names_database(os.environ)):
        logger.warning(NO_DATABASE)
    leader = Leader(environment, frozen, listener)
    workers = _Workers()
    reporting = report.Reporting(environment, frozen)
    if not environment.stop_timeout:  # requests in flight at a stop are to be recorded
        environment.stop_timeout = STOP_TIMEOUT_SECONDS
    if environment.web_ui:
        readers = both_ends.add(environment.web_ui, frozen)
        environment.events.quit.add_listener(lambda **_: readers.end())
    if isinstance(environment.runner, MasterRunner):
        clock.answer(environment)
        environment.events.worker_report.add_listener(workers.on_worker_report)

    def backlogs() -> dict[str, Backlog]:
        return {listener.worker: shipping.backlog(), **workers.backlogs}

    def on_quit(exit_code: int | None, **_: object) -> None:
        status = _status(exit_code, backlogs())
        leader.quit(status)
        listener.close()
        status = _status(status, backlogs())
        waited_s, began = judge.waited_s if judge else 0.0, time.monotonic()
        shipping.wait(workers.journals, shows=True, spent_s=waited_s)
        if not reporting.finish(spent_s=waited_s + time.monotonic() - began):
            status = status or report.FAILED
        if status != exit_code:
            raise SystemExit(status)  # of Locust's own end, little is left

    environment.events.quit.add_listener(on_quit)
    keeper = monitor.watch(environment, leader.info, backlogs, listener.batches)
    if keeper:
        gevent.spawn(leader.note_health, keeper)


def _status(exit_code: int | None, backlogs: dict[str, Backlog]) -> int | None:
    """Return the exit status of a run of which samples may have been lost: no success."""
    if exit_code or all(backlog.is_whole for backlog in backlogs.values()):
        return exit_code
    dropped = sum(backlog.dropped for backlog in backlogs.values())
    logger.error(
        "Samples were lost (%s dropped, %s journals removed): exit status %s",
        *(dropped, sum(backlog.removed for backlog in backlogs.values()), CANNOT_TELL),
    )
    return CANNOT_TELL


class _Workers:
    """What workers say of their journals in their reports."""

    def __init__(self) -> None:
        self.journals: set[str] = set()
        self.backlogs: dict[str, Backlog] = {}

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        if REPORT_KEY in data:
            journal, self.backlogs[client_id] = read_report(data[REPORT_KEY])
            self.journals.add(journal)


def _follow(environment: Environment, listener: Listener, shipping: Shipping) -> None:
    clock.Asking(environment)
    Follower(environment, listener)

    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        backlog = shipping.backlog()
        data[REPORT_KEY] = (listener.journal, *astuple(backlog))

    def on_quit(**_: object) -> None:
        listener.finish()
        listener.close()
        shipping.wait(set(), shows=False)

    environment.events.report_to_master.add_listener(on_report_to_master)
    environment.events.quit.add_listener(on_quit)
    monitor.watch(environment, batches=listener.batches)
