"""The same users twice, with Locust's wait time and with ours, and when each request began."""

from __future__ import annotations

import json
import os
from pathlib import Path

from locust import FastHttpUser, constant_pacing, events, task  # first: it patches sockets

from swarmscope.client import paced

PERIOD_S = float(os.environ.get("PERIOD_S", "10"))

requests: list[tuple[float, float, bool]] = []  # start (Unix seconds), milliseconds, failed


class _Visitor(FastHttpUser):
    abstract = True

    @task
    def look(self) -> None:
        """Fetch the list."""
        self.client.get("/tests")


class Stock(_Visitor):
    """Waits as Locust's own wait time has it."""

    wait_time = constant_pacing(PERIOD_S)


class Spread(_Visitor):
    """Waits at a phase of its own."""

    wait_time = paced(PERIOD_S)


def _on_request(
    start_time: float, response_time: float, exception: BaseException | None, **_: object
) -> None:
    requests.append((start_time, response_time, exception is not None))


def _forget_ramp(**_: object) -> None:
    requests.clear()


def _write(**_: object) -> None:
    Path(os.environ["REQUESTS_FILE"]).write_text(json.dumps(requests))


events.request.add_listener(_on_request)
events.spawning_complete.add_listener(_forget_ramp)
events.quit.add_listener(_write)
