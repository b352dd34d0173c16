"""The sample API's users, for `benchmarks.ten_thousand`: without a pause, and once in PACE_S."""

from __future__ import annotations

import os

from locust import between, constant, constant_pacing  # first: it patches sockets

from locustfiles.classic import Tester
from swarmscope.client import Capacity, paced

__all__ = ["Capacity", "Classic", "Saturating", "Spread", "Stock"]

PACE_S = float(os.environ.get("PACE_S") or 10)


class Saturating(Tester):
    """Sends one request after the other."""

    wait_time = constant(0)


class Stock(Tester):
    """Waits as Locust's own wait time has it."""

    wait_time = constant_pacing(PACE_S)


class Spread(Tester):
    """Waits at a phase of its own."""

    wait_time = paced(PACE_S)


class Classic(Tester):
    """Pauses as the user of the classic tutorials does, at random; a lean client sends for them.

    With ``HttpUser``, as there, two Locust processes were saturated at 250 requests/s, before the
    service was.
    """

    wait_time = between(1, 5)
