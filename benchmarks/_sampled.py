"""A service in one worker whose profile changes from slice to slice: none, CPU, waiting.

So what disturbs the machine disturbs all of them alike; see `_alternating`.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks._alternating import service
from swarmscope.sampling.signal_sampler import SignalSampler
from swarmscope.server.profiles import exchange
from swarmscope.server.profiles.recording import Recording, Sampler
from swarmscope.server.profiles.stacks import RequestStacks
from swarmscope.server.profiles.thread_sampler import ThreadSampler
from swarmscope.server.profiles.waiting_sampler import WaitingSampler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

KINDS = ("none", "cpu", "wall")


class Sampled:
    """A WSGI application that is profiled in two of three slices of its requests."""

    def __init__(self, requests: int, hz: float, threaded: bool) -> None:
        self._app = service("ours")
        self._requests, self._hz, self._threaded = requests, hz, threaded
        self._directory = Path(tempfile.mkdtemp())
        self._turns: list[str] = []
        self.slices: list[tuple[str, float, float]] = []  # kind, seconds and CPU s per request
        self._recording: Recording | None = None
        self._begin()

    def _begin(self) -> None:
        if not self._turns:
            self._turns = random.sample(KINDS, len(KINDS))
        self._kind, self._served = self._turns.pop(), 0
        if self._kind != "none":
            question = exchange.ask(self._directory, self._kind, self._hz, time.monotonic() + 3600)
            self._recording = Recording(self._directory, question, self._sampler(), {})
            self._recording.start()
        self._began, self._began_cpu = perf_counter(), process_time()

    def _sampler(self) -> Sampler:
        if self._kind == "wall":
            return WaitingSampler(self._hz)
        if self._threaded:
            return ThreadSampler(self._hz)
        return SignalSampler(self._hz, RequestStacks())

    def _end(self) -> None:
        seconds, cpu_s = perf_counter() - self._began, process_time() - self._began_cpu
        self.slices.append((self._kind, seconds / self._requests, cpu_s / self._requests))
        if self._recording is not None:
            self._recording.abandon()
            self._recording = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[Any]:
        """Serve a request, or what was measured under ``/slices``."""
        if environ["PATH_INFO"] == "/slices":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self.slices).encode()]
        self._served += 1
        if self._served == self._requests:
            self._end()
            self._begin()
        return self._app(environ, start_response)


def create_app() -> Sampled:
    """Build the service, with slices of ``SLICE`` requests and ``HZ`` samples per second."""
    threaded = os.environ.get("THREADED") == "1"
    return Sampled(int(os.environ["SLICE"]), float(os.environ["HZ"]), threaded)
