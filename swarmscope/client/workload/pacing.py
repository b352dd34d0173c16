"""Wait times that hold a rate without making users march in step.

Locust spawns users in one batch per second, and its ``constant_pacing`` and ``constant_throughput``
count from a user's creation. So the users of a batch send together, period after period, for as
long as the swarm lasts: the service sees a crowd once per second and idles in between, and the run
reports the latency of the crowd. A random sleep in ``on_start`` does not help, since the first wait
makes up for it. And after a stall the stock wait times fire without a pause until every user has
caught up with its last slot.

`paced` and `throughput` give each user a random phase of its own, drawn at its first wait. Its
slots are exactly one period apart, so the rate holds; many users with independent phases arrive
much like a Poisson stream (Palm-Khintchine), as unrelated people do. A slot that passes while its
user is busy is skipped and counted, never fired late.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from time import perf_counter
from typing import Any

from swarmscope.client.workload import missed

_SLOTS = "_swarmscope_slots"


class PacingSlots:
    """The moments, *period* seconds apart, at which one user may begin a task."""

    def __init__(self, period: float, first: float) -> None:
        self._period = period
        self._next = first

    def take(self, now: float) -> tuple[float, int]:
        """Return (seconds to wait at *now*, slots missed), and move past the slot waited for."""
        skipped = 0
        if now > self._next:
            skipped = int(-((self._next - now) // self._period))
            self._next += skipped * self._period
        wait = max(self._next - now, 0.0)
        self._next += self._period
        return wait, skipped


def paced(seconds: float) -> Callable[[Any], float]:
    """Return a wait time with which each user starts a task every *seconds*, at a phase of its own.

    Use it in place of ``constant_pacing(seconds)``. A task that takes longer than *seconds* costs
    its user the slots it covers. Raises ValueError for a period that is not positive::

        from swarmscope.client import FastHttpUser, paced


        class Tester(FastHttpUser):
            wait_time = paced(10)
    """
    if not seconds > 0:
        raise ValueError(f"paced() needs a positive number of seconds, got {seconds!r}")

    def wait_time(user: Any) -> float:
        now = perf_counter()
        slots = user.__dict__.get(_SLOTS)
        if slots is None:
            slots = user.__dict__[_SLOTS] = PacingSlots(seconds, now + random() * seconds)
        wait, skipped = slots.take(now)
        if skipped:
            missed.add(getattr(user, "user", user).environment, missed.SLOTS_MISSED, skipped)
        return float(wait)

    return wait_time


def throughput(per_second: float) -> Callable[[Any], float]:
    """Return a wait time with which each user starts *per_second* tasks per second; see `paced`.

    Use it in place of ``constant_throughput(per_second)``. Raises ValueError for a rate that is not
    positive::

        from swarmscope.client import FastHttpUser, throughput


        class Tester(FastHttpUser):
            wait_time = throughput(0.1)
    """
    if not per_second > 0:
        raise ValueError(f"throughput() needs a positive rate, got {per_second!r}")
    return paced(1 / per_second)
