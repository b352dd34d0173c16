"""The option ``--swarm-report FILE``: a run's page as a file, written once the run is over.

A child process makes it (``swarmscope report``), so that Locust's event loop has no part in it.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope import atomic_files
from swarmscope.client import child_processes
from swarmscope.client.frozen_options import RUN_OPTION, Options, shipper_environment

logger = logging.getLogger(__name__)

FAILED = 1  # exit status, unless there is a graver one
SETTLING_SECONDS = 10.0  # beyond the drain, for Prometheus's last scrapes
GRACE_SECONDS = 20.0  # for a process to start and answer, on a busy machine


def writable(text: str) -> str:
    """Return *text* as an absolute path; an error says why nothing can be written there."""
    try:
        atomic_files.check(Path(text))
    except atomic_files.Unwritable as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return str(Path(text).absolute())


def attach(environment: Environment, options: Options | None) -> Reporting | None:
    """Write each run's report if one was requested; exits if no run is recorded."""
    file = vars(environment.parsed_options).get("swarm_report")
    if file and not options:
        raise SystemExit("--swarm-report needs --timescale: without it no run is recorded")
    leads = not isinstance(environment.runner, WorkerRunner)
    return Reporting(environment, options, file) if file and options and leads else None


class Reporting:
    """Writes each run's report: in the background while there is a UI, else at the end."""

    def __init__(self, environment: Environment, options: Options, file: str) -> None:
        self._options = options
        self._parsed: Any = environment.parsed_options
        self._file = file
        self._child: subprocess.Popen[str] | None = None
        self._writing: gevent.Greenlet | None = None
        self._over = ""  # the run whose report is still due
        environment.events.test_stop.add_listener(self._on_stop)

    def _on_stop(self, **_: object) -> None:
        self._over = vars(self._parsed).get(RUN_OPTION, "")
        if not self._parsed.headless:
            self._begin()

    def _begin(self, spent_s: float = 0.0) -> None:
        run, self._over = self._over, ""
        if self._child:  # an earlier run's: its report would be replaced anyway
            self._child.kill()
        left_s = max(self._options.drain_seconds - spent_s, 0.0)
        self._writing = gevent.spawn(self._write, run, left_s + SETTLING_SECONDS)

    def finish(self, spent_s: float = 0.0) -> bool:
        """Write the report that is still due, after the drain; return whether it was written.

        *spent_s* of the drain time have already passed.
        """
        if self._over:
            self._begin(spent_s)
        return self._writing is None or bool(self._writing.get())

    def _write(self, run: str, patience_s: float) -> bool:
        """Write *run*'s report in a child process; return whether it succeeded."""
        child = self._child = self._start(run, patience_s)
        try:
            printed, error = child_processes.output_of(child, patience_s + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            printed, error = "", "it took too long"
        if child.returncode == 0:
            logger.info("Report of this run: %s", printed.strip())
        elif child is self._child:
            logger.error("No report was written: %s", error)
        return child.returncode == 0

    def _start(self, run: str, patience_s: float) -> subprocess.Popen[str]:
        arguments = ["report", run, "--output", self._file, "--wait", str(patience_s)]
        arguments += ["--database", self._options.database]
        return child_processes.start(arguments, shipper_environment(self._options), apart=True)
