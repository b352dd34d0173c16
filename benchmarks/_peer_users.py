"""The locustfile of `benchmarks.peers`: what PEER names, Locust's own users or ours."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
import locust  # first: it patches sockets
from locust import constant_pacing, events, task

PEER = os.environ["PEER"]
PACE_S = float(os.environ.get("PEER_PACE_S", "0"))
RATE = float(os.environ.get("PEER_RATE", "0"))  # arrivals/s of each user, on an open schedule


def _base() -> Any:
    """Return the class of users that is measured."""
    if PEER != "swarmscope":
        return getattr(locust, PEER)
    from swarmscope.client import FastHttpUser, OpenUser

    return OpenUser if RATE else FastHttpUser


def _wait_time() -> Any:
    if PEER != "swarmscope":
        return constant_pacing(PACE_S)
    from swarmscope.client import paced

    return paced(PACE_S)


class Visitor(_base()):  # type: ignore[misc]
    """Fetches one page, over and over."""

    if PACE_S:
        wait_time = _wait_time()
    if RATE:
        rate = RATE
        arrivals = "constant"

    @task
    def fetch(self) -> None:
        """Fetch it."""
        self.client.get("/")


def _report(environment: Any, **_: Any) -> None:
    """End the run in time, and write Locust's own statistics as it quits."""

    def write(**_: Any) -> None:
        total = environment.stats.total
        cuts = {f"p{cut}": total.get_response_time_percentile(cut / 100) for cut in (50, 95, 99)}
        figures = {"requests": total.num_requests, **cuts}
        Path(os.environ["PEER_FIGURES"]).write_text(json.dumps(figures))

    def end(**_: Any) -> None:
        ended = time.monotonic() + float(os.environ["PEER_SECONDS"])
        while time.monotonic() < ended:
            gevent.sleep(0.05)
        environment.runner.quit()

    events.quit.add_listener(write)
    # not by --run-time: what starting took would count on a busy machine
    events.spawning_complete.add_listener(lambda **_: gevent.spawn(end))


events.init.add_listener(_report)
