"""Thresholds on Locust's command line: a run that breaks one ends with an exit status for that.

locust-plugins' three checks are judged as it judges them, from what Locust counted; ours from the
runs database, once it has all samples. One table has all outcomes; one place sets the exit status.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from locust import log
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerRunner

from swarmscope import atomic_files
from swarmscope.client import child_processes, clock, exit_status, locust_stats, run_summary
from swarmscope.client.aborting import Abort, Aborting
from swarmscope.client.events import announced
from swarmscope.client.frozen_options import RUN_OPTION, Options, shipper_environment
from swarmscope.formatting import errors_in_tasks, printable
from swarmscope.journal.records import start_of
from swarmscope.runs import markdown, outcomes, thresholds
from swarmscope.runs.selection import Selection
from swarmscope.runs.thresholds import (
    AFTER_RAMP_UP,
    METRICS,
    NOT_JUDGED,
    WHOLE_RUN,
    CheckResult,
    Outcome,
    Threshold,
)

logger = logging.getLogger(__name__)

COUNTED = ("rps", "fail-ratio", "avg-response-time")  # locust-plugins' own
CAPACITY = "capacity-users"
STORED = tuple(metric for metric in METRICS if metric not in (*COUNTED, CAPACITY))
GRACE_SECONDS = 20.0  # for a process to start and answer, on a busy machine


@dataclass(frozen=True)
class Wanted:
    """The checks that were requested when Locust started."""

    counted: tuple[Threshold, ...]
    capacity: tuple[Threshold, ...]
    stored: tuple[Threshold, ...]
    whole: bool
    junit: Path | None
    aborts: bool = False  # a run that cannot pass any more

    @property
    def all(self) -> tuple[Threshold, ...]:
        """All thresholds, in the order of the table."""
        return (*self.stored, *self.counted, *self.capacity)


def wanted(environment: Environment) -> Wanted | None:
    """Return the checks that a process that leads is to make; exits where they make no sense."""
    if isinstance(environment.runner, WorkerRunner):
        return None
    try:
        found = read(environment.parsed_options)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    return found if found.all or found.aborts else None


def attach(environment: Environment, options: Options | None = None) -> Judge | None:
    """Judge runs when this process ends, by the runs database too if *options* say where it is.

    Only if it leads a swarm and checks were requested; exits if those make no sense.
    """
    asked = wanted(environment)
    return Judge(environment, asked, options) if asked else None


def read(parsed: Any) -> Wanted:
    """Read the checks from Locust's parsed options; raises ValueError with one line."""
    texts = {metric: getattr(parsed, attribute(metric), None) or () for metric in STORED}
    stored = [_parse(metric, text) for metric, given in texts.items() for text in given]
    if stored and (not parsed.timescale or parsed.keep_journals):
        need = (
            "samples that are delivered, not --keep-journals" if parsed.timescale else "--timescale"
        )
        raise ValueError(
            f"--check-{stored[0].metric} needs {need}: it is judged from the runs database"
        )
    counted = [
        _parse(metric, str(limit))
        for metric in COUNTED
        if (limit := getattr(parsed, attribute(metric), None)) is not None
    ]
    users = getattr(parsed, attribute(CAPACITY), 0)
    capacity = [_parse(CAPACITY, str(users))] if users else []
    junit = getattr(parsed, "check_junit", "")
    if junit:
        _refuse_unwritable(Path(junit), bool(stored or counted or capacity))
    whole = bool(getattr(parsed, "check_whole", False))
    file = Path(junit).absolute() if junit else None
    aborts = bool(getattr(parsed, "check_abort", False))
    return Wanted(tuple(counted), tuple(capacity), tuple(stored), whole, file, aborts)


def attribute(metric: str) -> str:
    """Return the name that Locust's parsed options have for a check."""
    return f"check_{metric.replace('-', '_')}"


def _parse(metric: str, text: str) -> Threshold:
    try:
        return thresholds.parse(metric, text)
    except ValueError as error:
        raise ValueError(f"--check-{metric} {error}") from error


def _refuse_unwritable(file: Path, is_needed: bool) -> None:
    if not is_needed:
        raise ValueError(f"--check-junit {file}: there is no check to report")
    try:
        atomic_files.check(file)
    except atomic_files.Unwritable as error:
        raise ValueError(f"--check-junit: {error}") from error


def judge_stored(
    options: Options,
    run: str,
    asked: Sequence[Threshold],
    whole: bool,
    selection: Selection | None = None,
) -> CheckResult:
    """Return what `swarmscope check` says of *run*, once that is complete.

    After the drain time it judges what there is. It is another process, so a database that hangs
    cannot block this one's event loop, which still listens to the workers.
    """
    if not run:
        return _unknown(run, asked, whole, "no run was started")
    logger.info("Checking this run once its last samples are delivered")
    environment = shipper_environment(options)
    environment.pop(outcomes.SUMMARY_VARIABLE, None)  # the caller writes the table
    arguments = _arguments(options, run, asked, whole, selection or Selection())
    child = child_processes.start(arguments, environment)
    error = ""
    try:
        printed, error = child_processes.output_of(child, options.drain_seconds + GRACE_SECONDS)
        return msgspec.json.decode(printed, type=CheckResult)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return _unknown(run, asked, whole, "the runs database did not answer in time")
    except msgspec.DecodeError:
        return _unknown(run, asked, whole, error or "no answer")


def _arguments(
    options: Options, run: str, asked: Sequence[Threshold], whole: bool, selection: Selection
) -> list[str]:
    arguments = ["check", run, "--json"]
    arguments += ["--wait", str(options.drain_seconds), "--database", options.database]
    arguments += ["--requests", selection.text, *(["--whole"] if whole else [])]
    return arguments + [f"--{threshold.metric}={threshold.text}" for threshold in asked]


def _unknown(run: str, asked: Sequence[Threshold], whole: bool, reason: str) -> CheckResult:
    scope = WHOLE_RUN if whole else AFTER_RAMP_UP
    found = [Outcome(threshold, scope, NOT_JUDGED, reason=reason) for threshold in asked]
    return CheckResult(run, False, thresholds.exit_status(found), [], found, [])


class Judge:
    """Judges the latest run when the Locust process that leads it ends."""

    def __init__(
        self, environment: Environment, wanted: Wanted, options: Options | None = None
    ) -> None:
        self.waited_s = 0.0  # for the runs database
        self._environment = environment
        self._wanted = wanted
        self._options = options
        self._capacity: dict[str, Any] | None = None  # figures of a search's verdict
        self._outcomes: list[Outcome] = []
        self._stored: CheckResult | None = None  # by the runs database
        limits = (wanted.counted, wanted.stored, wanted.whole)
        self._aborting = Aborting(environment, *limits) if wanted.aborts else None
        announced.add_listener(self._on_announced)
        self._started = self._ended = 0.0  # of the latest run, by this process's clock
        environment.events.test_start.add_listener(self._on_start)
        environment.events.test_stop.add_listener(self._on_stop)
        exit_status.attach(environment).conclusions.append(self._conclude)
        environment.events.quit.add_listener(self._on_quit)

    def _on_start(self, **_: object) -> None:
        self._capacity = None
        self._started = clock.own()

    def _on_stop(self, **_: object) -> None:
        self._ended = clock.own()

    def _on_announced(
        self, environment: Environment, kind: str, details: dict[str, Any] | None, **_: object
    ) -> None:
        if environment is self._environment and kind == "verdict" and details:
            self._capacity = details

    def _conclude(self) -> None:
        """Judge the run and set the exit status, which Locust reads afterwards."""
        runner = self._environment.runner
        assert runner is not None
        if runner.state in (STATE_SPAWNING, STATE_RUNNING):  # a signal ended it
            runner.quit()
        self._outcomes = self._judge()
        judged = any(threshold.metric == "fail-ratio" for threshold in self._wanted.counted)
        if judged and not runner.exceptions:  # failures are judged, errors in tasks are not
            code = 2 if log.unhandled_greenlet_exception else 0  # as where nothing failed
            vars(self._environment.parsed_options)["exit_code_on_error"] = code
        status = thresholds.exit_status(self._outcomes)
        if self._aborted:
            status = status or thresholds.CANNOT_TELL
        if status:
            self._environment.process_exit_code = status
        try:
            self._publish(status)
        except atomic_files.Unwritable as error:
            logger.error("%s", error)
            self._environment.process_exit_code = status or thresholds.CANNOT_TELL

    @property
    def _aborted(self) -> Abort | None:
        """How the latest run was ended early."""
        return self._aborting.aborted if self._aborting else None

    def _publish(self, status: int) -> None:
        stored = self._stored or CheckResult(self._run(), True, 0, self._notes(), [], [])
        found = replace(stored, status=status, outcomes=self._outcomes)
        if file := self._wanted.junit:
            atomic_files.write(file, outcomes.junit(found.outcomes, found.run, found.findings))
        outcomes.publish(markdown.of_check(found), os.environ)

    def _run(self) -> str:
        """Return the id of the latest run; '' if there is none, or it is not recorded."""
        return str(vars(self._environment.parsed_options).get(RUN_OPTION, ""))

    def _judge(self) -> list[Outcome]:
        wanted = self._wanted
        if self._options and wanted.stored:
            began = time.monotonic()
            asked = (wanted.stored, wanted.whole, self._selection())
            self._stored = judge_stored(self._options, self._run(), *asked)
            self.waited_s = time.monotonic() - began
        reason = "no capacity search finished"
        capacity = [
            thresholds.judge_capacity(threshold, self._capacity, reason)
            for threshold in wanted.capacity
        ]
        stored = self._stored.outcomes if self._stored else []
        found = [*stored, *map(self._count, wanted.counted), *capacity]
        return thresholds.ended_early(found, self._aborted.lost) if self._aborted else found

    def _count(self, threshold: Threshold) -> Outcome:
        """Judge by what Locust counted, as locust-plugins does; without requests, do not judge."""
        stats = self._environment.stats
        run = self._run()
        seconds = self._ended - (start_of(run) if run else self._started)
        values = locust_stats.figures(locust_stats.counted(stats, self._selection()), seconds)
        value = values[threshold.metric] if values else None
        requests = int(values["requests"]) if values else 0
        return thresholds.judge_value(threshold, WHOLE_RUN, value, requests)

    def _selection(self) -> Selection:
        """Return which requests count; the UI may have changed it since the start."""
        return Selection.parse(getattr(self._environment.parsed_options, "slo_requests", ""))

    def _notes(self) -> list[str]:
        """Return what to read before the table: what the runs database knows, or the abort."""
        if self._stored and self._stored.complete:
            return self._stored.notes
        ended = [f"{self._aborted.reason}."] if self._aborted else []
        return [*ended, *(self._stored.notes if self._stored else ())]

    def _on_quit(self, **_: object) -> None:
        """Print the table below Locust's own."""
        notes = outcomes.reasons(self._outcomes)
        left_out = locust_stats.left_out(self._environment.stats, self._selection())
        if left_out and not self._wanted.stored:  # else a note below says it
            notes.append(left_out)
        runner = self._environment.runner
        assert runner is not None
        if errors := sum(row["count"] for row in runner.exceptions.values()):
            # a master that quits misses what workers send last
            bound = "at least " if isinstance(runner, MasterRunner) else ""
            notes.append(f"{bound}{errors_in_tasks(errors)}")
        notes += [f"Note: {note}" for note in self._notes()]
        stream = run_summary.stream_of(self._environment.parsed_options)
        lines = ("", outcomes.table(self._outcomes), "", *map(printable, notes))
        print(*lines, sep="\n", file=stream)
