"""An open workload: requests start on schedule, whether or not earlier ones have finished.

Users who wait for a response before the next request (a closed workload) slow down with the
service: one that freezes gets fewer requests, and most of the waiting it caused is never measured
(coordinated omission). `OpenUser` keeps to its schedule: latency counts from the moment at which an
arrival was *due*, and the delay until its actual start is reported with it.
"""

from __future__ import annotations

import logging
import random
import traceback
from collections import deque
from math import isfinite
from time import perf_counter, time
from typing import Any, ClassVar

from gevent import GreenletExit, getcurrent
from gevent.pool import Pool
from locust import TaskSet
from locust.env import Environment
from locust.exception import StopTest, StopUser

from swarmscope.client.workload import missed
from swarmscope.client.workload.users import FastHttpUser

logger = logging.getLogger(__name__)

LATE_SECONDS = 0.01  # more than an event loop's jitter
ARRIVALS = ("poisson", "constant")


class Schedule:
    """When arrivals are due: at random (Poisson) or at equal intervals, *rate* per second."""

    def __init__(self, arrivals: str, rate: float, now: float) -> None:
        self._random = arrivals == "poisson"
        self._gap = 1 / rate
        self.due = now + (self._next_gap() if self._random else random.random() * self._gap)

    def advance(self) -> float:
        """Return the moment that was due, and move to the next."""
        due = self.due
        self.due += self._next_gap()
        return due

    def _next_gap(self) -> float:
        return random.expovariate(1 / self._gap) if self._random else self._gap


class _FromDue:
    """Stands in for Locust's request event: counts latency from when the arrival was due."""

    def __init__(self, event: Any) -> None:
        self._event = event

    def fire(self, *, response_time: float, start_time: float, **fields: Any) -> None:
        greenlet: Any = getcurrent()
        due = getattr(greenlet, "due", None)
        if due is not None:
            greenlet.due = None  # the requests that follow in the same task start when they start
            start_delay_ms = max(start_time - due, 0.0) * 1000
            fields["start_delay_ms"] = start_delay_ms
            response_time += start_delay_ms
            start_time -= start_delay_ms / 1000
        self._event.fire(response_time=response_time, start_time=start_time, **fields)


class OpenUser(FastHttpUser):
    """A source of `rate` arrivals per second, each of which runs one task of the class.

    N users make N × `rate` arrivals per second, so a ramp of users ramps the rate. At most
    `concurrency` arrivals of a user are in progress; those that find no free connection wait, and
    count as late, for up to `patience_s` seconds; then they are dropped and counted. Tasks are
    plain methods that run side by side and share the user's client::

        from locust import task
        from swarmscope.client import OpenUser


        class Visitor(OpenUser):
            rate = 2.0  # 50 users make 100 arrivals per second

            @task
            def list_tests(self):
                self.client.get("/tests")
    """

    abstract = True
    rate: ClassVar[float] = 1.0  # arrivals per second of each user
    arrivals: ClassVar[str] = "poisson"  # or constant
    concurrency: int = 100  # connections of one user
    patience_s: ClassVar[float] = 30.0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._check()
        self._choices: list[Any] = list(type(self).tasks)
        self.tasks = [_arrive]  # what Locust runs between two waits
        self.client.request_event = _FromDue(self.client.request_event)
        self._pool = Pool(self.concurrency)
        self._waiting: deque[float] = deque()
        self._schedule: Schedule | None = None

    def wait_time(self) -> float:
        """Return the seconds until the next arrival is due."""
        if self._schedule is None:
            self._schedule = Schedule(self.arrivals, self.rate, perf_counter())
        return max(self._schedule.due - perf_counter(), 0.0)

    def run(self) -> None:  # type: ignore[misc]  # Locust's own, and what must come after it
        """Arrive until stopped; then let what is in progress finish, as a stopped user does."""
        try:
            super().run()
        finally:
            self._drop(len(self._waiting))
            self._waiting.clear()
            try:
                self._pool.join(timeout=self.environment.stop_timeout or 0)
            finally:
                self._pool.kill(block=False)

    def _check(self) -> None:
        if not (self.rate > 0 and isfinite(self.rate)):
            raise StopTest(f"{type(self).__name__}.rate must be positive, not {self.rate!r}")
        if self.arrivals not in ARRIVALS:
            raise StopTest(f"{type(self).__name__}.arrivals must be one of {', '.join(ARRIVALS)}")
        if any(isinstance(task, type) and issubclass(task, TaskSet) for task in type(self).tasks):
            raise StopTest(f"{type(self).__name__}: tasks of an open user must be plain methods")

    def _take(self) -> None:
        """Start the arrival that is due, or let it wait for a connection."""
        if self._schedule is None:
            return  # Locust begins with a task; arrivals begin with a wait
        due = self._schedule.advance()
        if self._pool.free_count() > 0:
            self._pool.spawn(self._serve, due)
        else:
            self._waiting.append(due)
            self._drop_impatient()

    def _serve(self, due: float) -> None:
        """Serve an arrival, and with the same connection those that waited for it."""
        next_due: float | None = due
        while next_due is not None:
            self._run_task(next_due)
            self._drop_impatient()
            next_due = self._waiting.popleft() if self._waiting else None

    def _run_task(self, due: float) -> None:
        greenlet: Any = getcurrent()
        late_s = perf_counter() - due
        greenlet.due = time() - late_s
        if late_s > LATE_SECONDS:
            missed.add(self.environment, missed.ARRIVALS_LATE)
        try:
            random.choice(self._choices)(self)
        except (StopUser, StopTest, GreenletExit):
            raise
        except Exception as error:  # as in Locust's own loop: logged, counted, and on to the next
            self.environment.events.user_error.fire(
                user_instance=self, exception=error, tb=error.__traceback__
            )
            logger.error("%s\n%s", error, traceback.format_exc())

    def _drop_impatient(self) -> None:
        oldest = perf_counter() - self.patience_s
        dropped = 0
        while self._waiting and self._waiting[0] < oldest:
            self._waiting.popleft()
            dropped += 1
        self._drop(dropped)

    def _drop(self, number: int) -> None:
        if number:
            missed.add(self.environment, missed.ARRIVALS_DROPPED, number)


def _arrive(user: OpenUser) -> None:
    user._take()
