"""The shape that answers how much a service can take: it drives a search with a real swarm."""

from __future__ import annotations

import logging
import sys
import time
from math import ceil

from locust.env import Environment
from locust.runners import STATE_INIT, STATE_RUNNING, Runner

from swarmscope.client.announcements import announce
from swarmscope.client.capacity import Search
from swarmscope.client.capacity_options import Settings
from swarmscope.client.hunt import Hunt, Level
from swarmscope.client.measurement import LIMIT_OPTION, Recorder
from swarmscope.client.senses import Senses
from swarmscope.client.shape import Shape

logger = logging.getLogger(__name__)

RAMP_S = 2.0
DRAIN_SHARE = 0.25  # of the next level's users
FASTEST_RAMP = 100.0  # users a second; above it Locust warns


class Capacity(Shape):
    """Finds the most users at which the objective holds, and stops by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._recorder: Recorder | None = None
        self._senses: Senses | None = None
        self._hunt: Hunt | None = None

    def prepare(self, environment: Environment, recorder: Recorder | None) -> None:
        """Take part in this process; exits when a parameter makes no sense."""
        super().prepare(environment, recorder)
        self._recorder = recorder
        environment.events.test_stop.add_listener(self._on_stop)
        try:
            Settings.read(environment.parsed_options)
        except ValueError as error:
            sys.exit(str(error))

    def stage(self) -> str | None:
        """Return the level that is being tried."""
        if self._hunt is None:
            return None
        level = self._hunt.level
        why = "" if level.next_users is None else f", to drain before {level.next_users}"
        return f"capacity: {level.users} users{why}"

    def tick(self) -> tuple[int, float] | None:
        """Return the level to be at; None when the search is over."""
        assert self.runner is not None
        if self.runner.state == STATE_INIT:
            self._begin(self.runner.environment)
        elif self._hunt and self._senses:
            self._senses.take()
            self._proceed(self._hunt, self._senses, self.runner)
        return (self._hunt.level.users, self._hunt.level.rate) if self._hunt else None

    def _begin(self, environment: Environment) -> None:
        """Begin a search with the parameters that the UI may have changed since the last."""
        self._hunt = None
        try:
            settings = Settings.read(environment.parsed_options)
        except ValueError as error:
            logger.error("The search for the capacity cannot begin: %s", error)
            return
        self._senses = self._senses or Senses(environment, self._recorder)
        setattr(environment.parsed_options, LIMIT_OPTION, settings.objective.limit_ms)
        first = Level(settings.bounds.start, _rate(0, settings.bounds.start))
        self._hunt = Hunt(settings, Search(settings.bounds), first)

    def _on_stop(self, environment: Environment, **_: object) -> None:
        setattr(environment.parsed_options, LIMIT_OPTION, 0.0)
        self._hunt = None

    def _proceed(self, hunt: Hunt, senses: Senses, runner: Runner) -> None:
        """Go on at the level: ramp, settle, measure, decide."""
        level, now = hunt.level, time.time()
        if level.ramped is None:
            if runner.state == STATE_RUNNING and runner.user_count == level.users:
                level.ramped = now
        elif level.next_users is not None:
            if hunt.drained(senses.seconds, senses.until()):
                self._go(hunt, level.next_users)
        elif level.trial is None:
            if now >= level.ramped + hunt.settings.settle_s:
                level.trial = hunt.trial(ceil(now))
                senses.begin()
        elif (until := senses.until()) > level.trial.begin:
            held = level.trial.decide(senses.seconds, until)
            if held is not None:
                self._conclude(hunt, senses, until, held)

    def _conclude(self, hunt: Hunt, senses: Senses, until: int, held: bool) -> None:
        """Note what the level did, and move to the next or end the search."""
        level = hunt.level
        assert level.trial is not None
        figures = senses.seconds.between(level.trial.begin, until)
        limited = hunt.note(held, figures, until - level.trial.begin, senses.saturated())
        outcome = "held" if held else "broke"
        but = ", but the generator was saturated" if limited else ""
        logger.info("With %d users the objective %s%s", level.users, outcome, but)
        following = hunt.search.next_users()
        if following is None:
            self._end(hunt)
        elif held:
            self._go(hunt, following)
        else:  # an open workload's backlog would be held against all that follows
            self._go(hunt, max(int(following * DRAIN_SHARE), 1), following)

    def _go(self, hunt: Hunt, users: int, next_users: int | None = None) -> None:
        hunt.level = Level(users, _rate(hunt.level.users, users), next_users)
        self.announce()

    def _end(self, hunt: Hunt) -> None:
        assert self.runner is not None
        environment = self.runner.environment
        verdict = hunt.verdict()
        announce(environment, "verdict", verdict.sentence(), verdict.details())
        logger.info(verdict.sentence())
        self._hunt = None


def _rate(before: int, after: int) -> float:
    """Return the users to start or stop a second for a short ramp that Locust can follow."""
    return max(min(abs(after - before) / RAMP_S, FASTEST_RAMP), 1.0)
