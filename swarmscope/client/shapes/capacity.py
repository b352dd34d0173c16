"""The shape that answers how much a service can take: it drives a search with a real swarm."""

from __future__ import annotations

import logging
import sys
import time
from math import ceil
from typing import Any

import gevent
from locust import User
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_SPAWNING, MasterRunner, Runner

from swarmscope.client.capacity.figures import MEASURE_OPTION, Recorder
from swarmscope.client.capacity.live_figures import Senses
from swarmscope.client.capacity.search import Bounds, Search
from swarmscope.client.capacity.session import Hunt, Level
from swarmscope.client.capacity.settings import SearchSettings
from swarmscope.client.capacity.spawning import Present
from swarmscope.client.capacity.verdict import ERROR, SILENCE, STOPPED, TIME, USERS, Ending
from swarmscope.client.events import announce
from swarmscope.client.shapes.shape import Shape
from swarmscope.client.workload.population import Population

logger = logging.getLogger(__name__)

DRAIN_SHARE = 0.25  # of the next level's users

Tick = tuple[int, float, list[type[User]]]


class Capacity(Shape):
    """Finds the max number of users at which the objective holds, and stops by itself.

    ``locust --headless --shape Capacity --slo-p95 300`` searches once a locustfile imports it::

        from swarmscope.client import Capacity
    """

    seeks_capacity = True

    def __init__(self) -> None:
        super().__init__()
        self._recorder: Recorder | None = None
        self._senses: Senses | None = None
        self._hunt: Hunt | None = None
        self._classes: list[type[User]] = []
        self._driver: Any = None  # the greenlet that asks, one for each run

    def prepare(self, environment: Environment, recorder: Recorder | None) -> None:
        """Take part in this process; exits when a parameter makes no sense."""
        super().prepare(environment, recorder)
        self._recorder = recorder
        environment.events.test_stopping.add_listener(self._on_stopping)
        environment.events.test_stop.add_listener(self._on_stop)
        try:
            SearchSettings.read(environment.parsed_options)
        except ValueError as error:
            sys.exit(str(error))

    def stage(self) -> str | None:
        """Return the level that is being tried."""
        if self._hunt is None:
            return None
        level = self._hunt.level
        why = "" if level.next_users is None else f", to drain before {level.next_users}"
        return f"capacity: {level.users} users{why}"

    def tick(self) -> Tick | None:
        """Return the level to be at, and who is to make it up; None when the search is over."""
        assert self.runner is not None
        if gevent.getcurrent() is not self._driver:
            self._driver = gevent.getcurrent()
            self._begin(self.runner.environment)
        elif self._hunt and self._senses:
            try:
                self._senses.take()
                self._proceed(self._hunt, self._senses, self.runner)
            except Exception as error:  # or the swarm would stay at this level for ever
                logger.exception("The search for the capacity failed")
                self._end(Ending(ERROR, f"the search itself failed ({type(error).__name__})"))
        if self._hunt is None:
            return None
        return self._hunt.level.users, self._hunt.level.rate, self._classes

    def _begin(self, environment: Environment) -> None:
        """Begin a search with the parameters that the UI may have changed since the last."""
        self._hunt = None
        try:
            settings = SearchSettings.read(environment.parsed_options)
        except ValueError as error:
            logger.error("The search for the capacity cannot begin: %s", error)
            return
        people = Population.of(environment)
        if not people.classes:
            logger.error("The search for the capacity cannot begin: %s", people.note())
            return
        self._classes = list(people.classes)
        self._senses = self._senses or Senses(environment, self._recorder)
        self._senses.seconds.begin(settings.selection)
        setattr(environment.parsed_options, MEASURE_OPTION, settings.order.as_message())
        bounds = _bounded(settings.bounds, people.max_users)
        self._hunt = Hunt(settings, Search(bounds), Level.of(settings, 0, bounds.start))
        self._hunt.notes = tuple(filter(None, [people.note(), _fixed(settings.bounds, people)]))

    def _on_test_start(self, environment: Environment, **more: object) -> None:
        if environment.shape_class is self and self._hunt:
            bound = f"The search takes at most {_lasting(self._hunt.settings.max_s)}"
            if not self._hunt.settings.run_time_s:
                bound += "; --run-time sets another limit"
            announce(environment, "note", f"{bound}.")
            logger.info(bound)
            for note in self._hunt.notes:
                logger.warning(note)
        super()._on_test_start(environment, **more)

    def _on_stopping(self, environment: Environment, **_: object) -> None:
        """Say what is known when somebody stops the run, or Locust does."""
        if self._hunt:
            runner = environment.runner
            lost = isinstance(runner, MasterRunner) and not runner.worker_count
            why = ": the last worker was lost" if lost else ""
            self._end(Ending(STOPPED, f"the run was stopped{why}"))

    def _on_stop(self, environment: Environment, **_: object) -> None:
        setattr(environment.parsed_options, MEASURE_OPTION, [])
        self._hunt = None

    def _proceed(self, hunt: Hunt, senses: Senses, runner: Runner) -> None:
        """Go on at the level: ramp, settle, measure, decide."""
        present = Present(runner.user_count, senses.starting(), runner.state == STATE_SPAWNING)
        if ending := self._obstacle(hunt, present, runner):
            self._end(ending)
        elif not hunt.level.roll.is_complete(present):
            hunt.level.ramped = hunt.level.trial = None  # what was measured is of fewer users
        elif hunt.level.ramped is None:
            hunt.level.ramped = time.time()
        else:
            self._measure(hunt, senses, hunt.level.ramped)

    def _obstacle(self, hunt: Hunt, present: Present, runner: Runner) -> Ending | None:
        """Return why the search cannot go on, if it cannot."""
        missing = hunt.level.roll.missing(present, time.monotonic())
        if missing and runner.state == STATE_INIT:
            missing = "Locust did not start: no worker is connected"
        if missing:
            return Ending(USERS, missing)
        if hunt.remaining_s <= 0:
            return Ending(TIME, f"time was up after {_lasting(hunt.settings.max_s)}")
        return None

    def _measure(self, hunt: Hunt, senses: Senses, ramped: float) -> None:
        """Settle, measure and decide at a level whose users are all there."""
        level, now = hunt.level, time.time()
        if level.next_users is not None:
            if hunt.drained(senses.seconds, senses.until()):
                self._go(hunt, level.next_users)
        elif level.trial is None:
            if now >= ramped + hunt.settings.warm_up_s:
                level.trial = hunt.trial(ceil(now))
                senses.begin()
        elif (until := senses.until()) > level.trial.begin:
            held = level.trial.decide(senses.seconds, until)
            if held is not None:
                self._decide(hunt, senses, until, held)

    def _decide(self, hunt: Hunt, senses: Senses, until: int, held: bool) -> None:
        """Conclude the level, unless what was measured is of nothing that counts."""
        if ending := _silence(hunt, senses):
            self._end(ending)
        else:
            self._conclude(hunt, senses, until, held)

    def _conclude(self, hunt: Hunt, senses: Senses, until: int, held: bool) -> None:
        """Note what the level did, and move to the next or end the search."""
        level = hunt.level
        assert level.trial is not None
        figures = senses.seconds.between(level.trial.begin, until)
        lasted = until - level.trial.begin
        limited = hunt.note(held, figures, lasted, senses.saturated())
        self._tell(hunt, held, figures, lasted, limited)
        following = hunt.search.next_users()
        if following is None:
            self._end()
        elif not hunt.fits(following):
            self._end(Ending(TIME, f"time was up after {_lasting(hunt.settings.max_s)}"))
        elif held:
            self._go(hunt, following)
        else:  # an open workload's backlog would be held against all that follows
            self._go(hunt, max(int(following * DRAIN_SHARE), 1), following)

    def _tell(
        self, hunt: Hunt, held: bool | None, figures: Any, lasted: float, limited: bool
    ) -> None:
        """Log what the level did, and keep it with the run."""
        assert self.runner is not None
        assert self._senses is not None
        report = hunt.report(held, figures, lasted, self._senses.saturated(), limited)
        announce(self.runner.environment, "level", report.sentence(), report.details())
        logger.info("Level %s", report.sentence())

    def _go(self, hunt: Hunt, users: int, next_users: int | None = None) -> None:
        hunt.level = Level.of(hunt.settings, hunt.level.users, users, next_users)
        self.announce()

    def _end(self, ending: Ending | None = None) -> None:
        """Say what is known, once, and let the swarm end."""
        assert self.runner is not None
        assert self._senses is not None
        hunt, self._hunt = self._hunt, None
        if hunt is None:
            return
        trial, until = hunt.level.trial, self._senses.until()
        if ending and trial and until > trial.begin:
            figures = self._senses.seconds.between(trial.begin, until)
            self._tell(hunt, None, figures, until - trial.begin, False)
        verdict = hunt.verdict(ending, self._senses.seconds.left_out)
        announce(self.runner.environment, "verdict", verdict.sentence(), verdict.details())
        logger.info(verdict.sentence())


def _bounded(bounds: Bounds, max_users: int | None) -> Bounds:
    """Return *bounds* within what the scenario's ``fixed_count`` allows."""
    if max_users is None or max_users >= bounds.most:
        return bounds
    return Bounds(min(bounds.start, max_users), max_users, bounds.precision)


def _fixed(bounds: Bounds, people: Population) -> str:
    if people.max_users is None or people.max_users >= bounds.most:
        return ""
    return f"No more than {people.max_users:,} users: all user classes have a fixed_count."


def _silence(hunt: Hunt, senses: Senses) -> Ending | None:
    """Return that nothing can be judged, where no request that counts has ever finished."""
    seconds, selection = senses.seconds, hunt.settings.selection
    if not seconds.counted:
        others = ", ".join(kind or "(none)" for kind in seconds.left_out)
        reason = "no request has finished"
        if others:
            reason = f"no request matches {selection.text!r}; there are those of type {others}"
        return Ending(SILENCE, reason)
    for endpoint in hunt.settings.objective.endpoints:
        if not seconds.endpoints[endpoint]:
            return Ending(SILENCE, f"no request of {endpoint!r}, which has a limit of its own")
    return None


def _lasting(seconds: float) -> str:
    """Return a time span in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{ceil(seconds / 60)} minutes"
