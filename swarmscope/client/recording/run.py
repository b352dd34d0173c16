"""A run's life: the leader (master or single process) records it, workers follow."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust.env import Environment
from locust.runners import (
    MasterRunner,
    Runner,
    WorkerRunner,
)

from swarmscope.client import clock
from swarmscope.client.events import announced
from swarmscope.client.frozen_options import PLAN_OPTION, RUN_OPTION, Options
from swarmscope.client.objective import Limits, objective_of
from swarmscope.client.recording import provenance, run_links, run_settings
from swarmscope.client.recording.checkout import checkout
from swarmscope.client.recording.listener import Listener
from swarmscope.client.recording.presence import Presence
from swarmscope.journal.records import (
    Event,
    RampComplete,
    RunExit,
    RunStarted,
    RunStopped,
    run_id,
    start_of,
)
from swarmscope.redaction import scrub_arguments
from swarmscope.runs import prometheus

logger = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.5


class Leader:
    """Records the runs that this process leads."""

    def __init__(self, environment: Environment, options: Options, listener: Listener) -> None:
        assert environment.runner is not None
        self.run = ""  # the current run; empty between runs
        self._environment = environment
        self._runner: Runner = environment.runner
        self._options = options
        self._listener = listener
        self.latest = ""
        self._objective: Limits | None = None  # the run's; the UI may change it between runs
        self._settings: dict[str, Any] = {}
        self._presence = Presence(environment.runner, options.plan, listener)
        self._publish_run("", options.plan)
        events = environment.events
        events.test_start.add_listener(self._on_start)
        events.spawning_complete.add_listener(self._on_ramp_complete)
        events.test_stop.add_listener(self._on_stop)
        announced.add_listener(self._on_announced)

    def _on_start(self, **_: object) -> None:
        is_first = not self.latest
        self.run = self.latest = run_id(self._new_start())
        self._objective = objective_of(self._environment.parsed_options)
        self._settings = self._current_settings(is_first)
        self._publish_run(self.run, self._options.plan)
        works = not isinstance(self._runner, MasterRunner)
        self._listener.begin(self.run, self._options.plan, works=works)
        self._listener.record(self._started())
        self._presence.begin(self.run)
        self._log_links("Follow this run")

    def _publish_run(self, run: str, plan: str) -> None:
        vars(self._environment.parsed_options).update({RUN_OPTION: run, PLAN_OPTION: plan})

    def _new_start(self) -> float:
        """Return the time, later than the last run's by a microsecond at least."""
        earliest = start_of(self.latest) + 2e-6 if self.latest else 0.0
        clock.set_by_machine(earliest)
        return max(clock.own(), earliest)

    def _started(self) -> RunStarted:
        environment, options = self._environment, self._options
        branch, commit = checkout(Path.cwd(), os.environ)
        return RunStarted(
            run=self.run,
            testplan=options.plan,
            scenario=provenance.scenario(environment),
            profile=environment.profile and options.without_secrets(environment.profile),
            users=self._runner.target_user_count,
            iterations_per_second=options.iterations_per_second,
            description=options.without_secrets(options.description),
            environment=options.without_secrets(options.test_env),
            version=options.without_secrets(options.test_version),
            username=provenance.username(),
            repository=provenance.repository(Path.cwd()),
            arguments=scrub_arguments(sys.argv[1:], options.secrets),
            host=provenance.host(environment),
            versions=provenance.versions(),
            grafana_url=run_links.presentable(options.grafana_url) or None,
            objective_ms=self._objective.limit_ms if self._objective else None,
            objective_fail_ratio=self._objective.fail_ratio if self._objective else None,
            capacity_search=getattr(environment.shape_class, "seeks_capacity", False),
            settings=run_settings.as_json(self._settings),
            prometheus_url=prometheus.without_user_info(options.prometheus_url),
            hosts=" ".join(provenance.hosts(environment)),
            services=options.without_secrets(options.services),
            resources=options.without_secrets(options.resources),
            branch=branch,
            commit_hash=commit,
            scenario_hash=provenance.scenario_hash(environment),
            machine=provenance.machine(),
        )

    def _current_settings(self, is_first: bool = False) -> dict[str, Any]:
        options = self._options
        return run_settings.settings_of(self._environment, options.shown, options.secrets, is_first)

    def _on_ramp_complete(self, user_count: int, **_: object) -> None:
        if self.run:
            record = RampComplete(self.run, self._options.plan, clock.own(), user_count)
            self._listener.record(record)
            self._note_changes()

    def _note_changes(self) -> None:
        """Note what the UI's form changed during the run; the run keeps its initial settings."""
        now = self._current_settings() | {"run_time": self._settings["run_time"]}
        if changes := run_settings.changes(self._settings, now):
            self._note("note", changes)
        self._settings = now

    def _on_announced(
        self, environment: Environment, kind: str, text: str, details: dict[str, Any] | None
    ) -> None:
        if self.run and environment is self._environment:
            self._note(kind, text, msgspec.json.encode(details).decode() if details else None)

    def _on_stop(self, **_: object) -> None:
        if not self.run:
            return
        self._presence.end()
        self._listener.finish()
        ended = clock.own()
        self._listener.record(RunStopped(self.run, self._options.plan, ended))
        self._log_links("Report of this run", ended)
        self.run = ""

    def quit(self, exit_code: int | None) -> None:
        """Record the process's exit status with the run that its end, or Ctrl-C, ended."""
        self._on_stop()
        headless = getattr(self._environment.parsed_options, "headless", False)
        if self.latest and headless and exit_code is not None:
            self._listener.record(RunExit(self.latest, exit_code))

    @property
    def objective(self) -> Limits | None:
        """The objective of the run that is running, if its options name one."""
        return self._objective if self.run else None

    def _log_links(self, title: str, ended: float | None = None) -> None:
        """Log where the latest run can be seen: its dashboard, and the page in the UI."""
        url = self._options.grafana_url
        dashboard = run_links.grafana_link(url, self.latest, ended) if url else ""
        for link in filter(None, (dashboard, run_links.both_ends_link(self._environment))):
            logger.info("%s: %s", title, link)

    def _note(self, kind: str, text: str, details: str | None = None) -> None:
        text = self._options.without_secrets(text)
        self._listener.record(Event(self.run, kind, clock.own(), text, details))


class Follower:
    """Assigns a worker's samples to the run that its master leads."""

    def __init__(self, environment: Environment, listener: Listener) -> None:
        self._environment = environment
        self._listener = listener
        events = environment.events
        events.test_start.add_listener(self._follow)
        events.test_stop.add_listener(self._on_stop)
        runner = environment.runner
        assert isinstance(runner, WorkerRunner)
        if runner.worker_state in ("spawning", "running"):  # started before Locust fired init
            self._follow()
        gevent.spawn(self._follow_forever, runner)

    def _follow(self, **_: object) -> None:
        parsed = vars(self._environment.parsed_options)
        run, plan = parsed.get(RUN_OPTION), parsed.get(PLAN_OPTION)
        if not run:
            logger.warning("The master runs without --timescale: no samples are recorded")
        elif run != self._listener.run:
            self._listener.finish()
            self._listener.begin(run, plan or "", works=True)

    def _follow_forever(self, runner: WorkerRunner) -> None:
        """Notice a master that was restarted while users run: Locust fires no event then."""
        while True:
            gevent.sleep(FOLLOW_SECONDS)
            if runner.worker_state in ("spawning", "running"):
                run = vars(self._environment.parsed_options).get(RUN_OPTION)
                if run and run != self._listener.run:
                    self._follow()

    def _on_stop(self, **_: object) -> None:
        self._listener.finish()
        # Locust would wait so long once more before this worker is ready for the next run
        self._environment.stop_timeout = 0.0
