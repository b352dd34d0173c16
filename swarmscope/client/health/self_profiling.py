"""Profiles of this Locust process while it is saturated: which code of the scenario is the limit.

What samples is imported when it is first needed; until then there is one comparison per report.
"""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

from locust.env import Environment
from locust.runners import WORKER_REPORT_INTERVAL

from swarmscope.client import clock
from swarmscope.client.events import listen_first
from swarmscope.client.health.probe import Health
from swarmscope.client.health.trust import busyness
from swarmscope.client.recording.listener import Listener
from swarmscope.journal.records import GeneratorProfile

if TYPE_CHECKING:
    from swarmscope.client.health.stack_window import StackWindow

logger = logging.getLogger(__name__)

SWITCH = "SWARMSCOPE_PROFILES"  # 0: none are taken
WINDOW_S = 15.0
MAX_WINDOWS = 8  # of a run


class SelfProfiling:
    """Samples this process in windows while it is saturated and its part in a run lasts."""

    def __init__(self, environment: Environment, listener: Listener) -> None:
        """Record windows by *listener*."""
        self._environment, self._listener = environment, listener
        self._is_off = os.environ.get(SWITCH) == "0"
        self._worked = False  # at the last report
        self._run, self._windows = "", 0  # of that run
        self._window: StackWindow | None = None
        listen_first(environment.events.test_stop, self._end)
        atexit.register(self._abandon)  # a signal would end a process that has no handler left

    def take(self, health: Health) -> None:
        """Begin or end a window, as *health*, of the time since the last call, demands.

        A report that began before the run does not count: it holds the start of the process.
        """
        worked, self._worked = self._worked, self._listener.works
        if self._is_off:
            return
        saturated = worked and self._worked and busyness(health) > 1
        if window := self._window:
            window.saturated |= saturated
            if not saturated or window.seconds > WINDOW_S - WORKER_REPORT_INTERVAL:
                self._end()
        if saturated and self._window is None:
            self._begin()

    def _begin(self) -> None:
        if self._run != self._listener.run:
            self._run, self._windows = self._listener.run, 0
        if self._windows == MAX_WINDOWS:
            return
        from swarmscope.client.health.stack_window import StackWindow

        window = StackWindow(clock.now())
        try:
            reason = window.start()
        except ValueError as error:  # not in the main thread
            reason = str(error)
        if reason:
            self._switch_off(reason)
            return
        self._windows += 1
        self._window = window

    def _end(self, **_: object) -> None:
        """End the window, and record it if the process was saturated in it."""
        if self._window is None:
            return
        window, self._window = self._window, None
        if reason := window.stop():
            self._switch_off(reason)
        if window.saturated and self._listener.works:
            times = window.since, window.seconds
            stacks = window.stacks(self._environment.user_classes)
            worker = self._listener.worker
            self._listener.record(GeneratorProfile(self._run, worker, *times, stacks))

    def _abandon(self) -> None:
        if self._window is not None:
            self._window.stop()

    def _switch_off(self, reason: str) -> None:
        self._is_off = True
        text = "This Locust process is saturated and cannot profile itself: %s"
        logger.warning(text, reason.replace("the app", "the scenario"))
