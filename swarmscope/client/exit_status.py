"""Ends a Locust process only once, and gives checks the last word on its exit status.

Locust shuts down a second time when its runner ends while SIGTERM is being handled. A
handler of `quitting` may set the exit status, raise, or exit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gevent import getcurrent
from gevent.event import Event
from locust.env import Environment
from locust.event import EventHook

logger = logging.getLogger(__name__)


class QuittingHook(EventHook):
    """Replaces an environment's `quitting`: the same handlers, then `conclusions`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__()
        self._environment = environment
        self._handlers = environment.events.quitting._handlers
        self._greenlet: object = None  # that shuts down
        self.conclusions: list[Callable[[], None]] = []  # called last, whatever handlers do

    def fire(self, *, reverse: bool = False, **kwargs: object) -> None:
        """Call the handlers and then the conclusions, once in the life of the process.

        A second shutdown waits here until the first one has ended the process.
        """
        if self._greenlet is not None:
            if self._greenlet is not getcurrent():
                Event().wait()
            return
        self._greenlet = getcurrent()
        try:
            super().fire(reverse=reverse, **kwargs)
        except SystemExit as end:  # an orderly end with that status
            self._environment.process_exit_code = _status(end)
        except Exception:
            logger.exception("A handler of quitting failed")
        for conclude in self.conclusions:
            conclude()


def _status(end: SystemExit) -> int:
    """Return the exit status that Python gives to *end*."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    logger.error("%s", end.code)
    return 1


def attach(environment: Environment) -> QuittingHook:
    """Return the environment's `QuittingHook`; the first call puts it in place."""
    hook = environment.events.quitting
    if not isinstance(hook, QuittingHook):
        hook = environment.events.quitting = QuittingHook(environment)
    return hook
