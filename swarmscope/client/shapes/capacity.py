"""The shape that finds how much load a service can take, by a search with a real swarm."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict
from math import ceil
from typing import TYPE_CHECKING, Any

import gevent
from locust import User
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_SPAWNING, MasterRunner, Runner

from swarmscope.client.capacity import asking
from swarmscope.client.capacity.figures import MEASURE_OPTION, Recorder
from swarmscope.client.capacity.level import sentence
from swarmscope.client.capacity.live_figures import LiveFigures
from swarmscope.client.capacity.search import Bounds, Search
from swarmscope.client.capacity.session import CurrentLevel, Session
from swarmscope.client.capacity.settings import SearchSettings
from swarmscope.client.capacity.spawning import Present
from swarmscope.client.capacity.verdict import ERROR, SILENCE, STOPPED, TIME, USERS, EarlyEnd
from swarmscope.client.events import announce
from swarmscope.client.frozen_options import Options
from swarmscope.client.shapes.shape import Shape
from swarmscope.client.workload.population import Population

if TYPE_CHECKING:
    from swarmscope.runs.document import Cause

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
        self._options: Options | None = None
        self._live: LiveFigures | None = None
        self._session: Session | None = None
        self._classes: list[type[User]] = []
        self._driver: Any = None  # the greenlet that calls `tick`, one for each run

    def prepare(
        self, environment: Environment, recorder: Recorder | None, options: Options | None = None
    ) -> None:
        """Take part in this process; exits when a parameter makes no sense."""
        super().prepare(environment, recorder, options)
        self._recorder, self._options = recorder, options
        environment.events.test_stopping.add_listener(self._on_stopping)
        environment.events.test_stop.add_listener(self._on_stop)
        try:
            SearchSettings.read(environment.parsed_options)
        except ValueError as error:
            sys.exit(str(error))

    def stage(self) -> str | None:
        """Return the level that is being tried."""
        if self._session is None:
            return None
        level = self._session.level
        why = "" if level.next_users is None else f", to drain before {level.next_users}"
        return f"capacity: {level.users} users{why}"

    def tick(self) -> Tick | None:
        """Return users, spawn rate and user classes of the level; None when the search is over."""
        assert self.runner is not None
        if gevent.getcurrent() is not self._driver:
            self._driver = gevent.getcurrent()
            self._begin(self.runner.environment)
        elif self._session and self._live:
            try:
                self._live.take()
                self._proceed(self._session, self._live, self.runner)
            except Exception as error:  # or the swarm would stay at this level forever
                logger.exception("The capacity search failed")
                self._end(EarlyEnd(ERROR, f"the search itself failed ({type(error).__name__})"))
        if self._session is None:
            return None
        return self._session.level.users, self._session.level.rate, self._classes

    def _begin(self, environment: Environment) -> None:
        """Begin a search with the parameters that the UI may have changed since the last."""
        self._session = None
        try:
            settings = SearchSettings.read(environment.parsed_options)
        except ValueError as error:
            logger.error("The capacity search cannot start: %s", error)
            return
        people = Population.of(environment)
        if not people.classes:
            logger.error("The capacity search cannot start: %s", people.note())
            return
        self._classes = list(people.classes)
        self._live = self._live or LiveFigures(environment, self._recorder)
        self._live.seconds.begin(settings.selection)
        setattr(environment.parsed_options, MEASURE_OPTION, settings.order.as_message())
        search = Search(_bounded(settings.bounds, people.max_users))
        first = CurrentLevel.of(settings, 0, search.bounds.start)
        self._session = Session(settings, search, first)
        self._session.notes = tuple(filter(None, [people.note(), _fixed(settings.bounds, people)]))

    def _on_test_start(self, environment: Environment, **more: object) -> None:
        if environment.shape_class is self and self._session:
            bound = f"The search takes at most {_lasting(self._session.settings.max_s)}"
            if not self._session.settings.run_time_s:
                bound += "; --run-time sets another limit"
            announce(environment, "note", f"{bound}.")
            logger.info(bound)
            for note in self._session.notes:
                logger.warning(note)
        super()._on_test_start(environment, **more)

    def _on_stopping(self, environment: Environment, **_: object) -> None:
        """Report what is known when the run is stopped early."""
        if self._session:
            runner = environment.runner
            lost = isinstance(runner, MasterRunner) and not runner.worker_count
            why = ": the last worker was lost" if lost else ""
            self._end(EarlyEnd(STOPPED, f"the run was stopped{why}"))

    def _on_stop(self, environment: Environment, **_: object) -> None:
        setattr(environment.parsed_options, MEASURE_OPTION, [])
        self._session = None

    def _proceed(self, session: Session, live: LiveFigures, runner: Runner) -> None:
        """Go on at the level: ramp, warm up, measure, decide."""
        present = Present(runner.user_count, live.starting(), runner.state == STATE_SPAWNING)
        if ending := self._obstacle(session, present, runner):
            self._end(ending)
        elif not session.level.spawning.is_complete(present):
            session.level.ramped = session.level.trial = None  # what was measured is of fewer users
        elif session.level.ramped is None:
            session.level.ramped = time.time()
        else:
            self._measure(session, live, session.level.ramped)

    def _obstacle(self, session: Session, present: Present, runner: Runner) -> EarlyEnd | None:
        """Return why the search cannot go on, if it cannot."""
        missing = session.level.spawning.missing(present, time.monotonic())
        if missing and runner.state == STATE_INIT:
            missing = "Locust did not start: no worker is connected"
        if missing:
            return EarlyEnd(USERS, missing)
        if session.remaining_s <= 0:
            return EarlyEnd(TIME, f"time was up after {_lasting(session.settings.max_s)}")
        return None

    def _measure(self, session: Session, live: LiveFigures, ramped: float) -> None:
        """Warm up, measure and decide at a level whose users are all there."""
        level, now = session.level, time.time()
        if level.next_users is not None:
            if session.drained(live.seconds, live.until()):
                self._go(session, level.next_users)
        elif level.trial is None:
            if now >= ramped + session.settings.warm_up_s:
                level.trial = session.trial(ceil(now))
                live.begin()
        elif (until := live.until()) > level.trial.begin:
            held = level.trial.decide(live.seconds, until)
            if held is not None:
                self._decide(session, live, until, held)

    def _decide(self, session: Session, live: LiveFigures, until: int, held: bool) -> None:
        """Conclude the level, unless no request that counts was measured."""
        if ending := _silence(session, live):
            self._end(ending)
        else:
            self._conclude(session, live, until, held)

    def _conclude(self, session: Session, live: LiveFigures, until: int, held: bool) -> None:
        """Record what the level did, and move to the next or end the search."""
        level = session.level
        assert level.trial is not None
        figures = live.seconds.between(level.trial.begin, until)
        lasted = until - level.trial.begin
        limited = session.note(held, figures, lasted, live.saturated(), until)
        self._tell(session, held, figures, lasted, limited)
        following = session.search.next_users()
        if following is None:
            self._end()
        elif not session.fits(following):
            self._end(EarlyEnd(TIME, f"time was up after {_lasting(session.settings.max_s)}"))
        elif held:
            self._go(session, following)
        else:  # an open workload's backlog would count against what follows
            self._go(session, max(int(following * DRAIN_SHARE), 1), following)

    def _tell(
        self, session: Session, held: bool | None, figures: Any, lasted: float, limited: bool
    ) -> None:
        """Log what the level did, and keep it with the run."""
        assert self.runner is not None
        assert self._live is not None
        report = session.report(held, figures, lasted, self._live.saturated(), limited)
        text = sentence(report)
        announce(self.runner.environment, "level", text, asdict(report))
        logger.info("Level %s", text)

    def _go(self, session: Session, users: int, next_users: int | None = None) -> None:
        session.level = CurrentLevel.of(session.settings, session.level.users, users, next_users)
        self.announce()

    def _end(self, ending: EarlyEnd | None = None) -> None:
        """Announce what is known, once, and end the swarm."""
        assert self.runner is not None
        assert self._live is not None
        session, self._session = self._session, None
        if session is None:
            return
        trial, until = session.level.trial, self._live.until()
        if ending and trial and until > trial.begin:
            figures = self._live.seconds.between(trial.begin, until)
            self._tell(session, None, figures, until - trial.begin, False)
        cause = self._cause(session, ending)
        verdict = session.verdict(ending, self._live.seconds.left_out, cause)
        announce(self.runner.environment, "verdict", verdict.sentence(), verdict.details())
        logger.info(verdict.sentence())

    def _cause(self, session: Session, ending: EarlyEnd | None) -> Cause | None:
        """Return what broke; unknown where somebody waits for the run to stop."""
        assert self.runner is not None
        sides = session.sides()
        if sides is None or (ending and ending.limit in (STOPPED, ERROR)):
            return None
        return asking.cause(self.runner.environment, self._options, *sides)


def _bounded(bounds: Bounds, max_users: int | None) -> Bounds:
    """Return *bounds* within what the scenario's ``fixed_count`` allows."""
    if max_users is None or max_users >= bounds.max:
        return bounds
    return Bounds(min(bounds.start, max_users), max_users, bounds.precision)


def _fixed(bounds: Bounds, people: Population) -> str:
    if people.max_users is None or people.max_users >= bounds.max:
        return ""
    return f"No more than {people.max_users:,} users: all user classes have a fixed_count."


def _silence(session: Session, live: LiveFigures) -> EarlyEnd | None:
    """Return that nothing can be judged, where no request that counts has ever finished."""
    seconds, selection = live.seconds, session.settings.selection
    if not seconds.counted:
        others = ", ".join(kind or "(none)" for kind in seconds.left_out)
        reason = "no request has finished"
        if others:
            reason = f"no request matches {selection.text!r}; the only types are {others}"
        return EarlyEnd(SILENCE, reason)
    for endpoint in session.settings.objective.endpoints:
        if not seconds.endpoints[endpoint]:
            return EarlyEnd(SILENCE, f"no request of {endpoint!r}, which has a limit of its own")
    return None


def _lasting(seconds: float) -> str:
    """Return a time span in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{ceil(seconds / 60)} minutes"
