"""One Locust process at full speed whose listeners are switched many times a minute.

Run by `benchmarks.listener`; prints JSON. A slice's cost includes what its listener does about the
slice's samples after the event: ours writes to the journal, the stock one to the database.
"""

from __future__ import annotations

import json
import os
import random
import sys
from time import perf_counter, process_time
from typing import Any

import gevent
import locust  # first: it patches sockets for gevent
import psutil
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPResponse
from locust.argument_parser import get_parser
from locust.contrib.fasthttp import FastHttpSession, FastResponse
from locust.env import Environment
from locust.event import EventHook
from locust.runners import LocalRunner
from locust_plugins.listeners.timescale import Timescale

from benchmarks._listener_kinds import KINDS
from swarmscope.client import plugin
from swarmscope.client.recording.listener import Listener

USERS = 10
WARM_UP_SECONDS = 2.0
SAMPLES = 5_000
TURNS = 41
_no_socket: Any = HTTPResponse()
HEADERS = Headers({"Server-Timing": "queue;dur=0.123, app;dur=0.456"})
SAMPLE: dict[str, Any] = {
    "request_type": "GET",
    "name": "/tests",
    "context": {},
    "exception": None,
    "start_time": 1.7e9,
    "url": "http://127.0.0.1:5000/tests",
    "response_length": 345,
    "response_time": 12.5,
}


def response() -> FastResponse:
    """Return a response of its own: one that is reported again has no parts."""
    made = FastResponse(_no_socket)
    made.headers = HEADERS
    return made


class Unmarked(FastHttpSession):
    """A session as Locust has it before swarmscope marks its requests."""

    _send_request_safe_mode = FastHttpSession._send_request_safe_mode


class Visitor(locust.FastHttpUser):
    """Sends one request after the other."""

    @locust.task
    def visit(self) -> None:
        """Fetch something."""
        self.client.get("/tests")


class Swarm:
    """A running swarm and the request handlers of each kind."""

    def __init__(self, host: str) -> None:
        plugin.register()
        options = get_parser().parse_args(["--timescale", "--host", host])
        self.environment = Environment(
            user_classes=[Visitor], events=locust.events, host=host, parsed_options=options
        )
        self.runner = LocalRunner(self.environment)
        self.environment.runner = self.runner
        self.handlers = self.environment.events.request._handlers
        self.own = list(self.handlers)
        self.stock = Timescale(env=self.environment)  # afterwards ours has replaced its class
        self.handlers[:] = self.own
        self.environment.events.init.fire(environment=self.environment)
        self.ours = [handler for handler in self.handlers if handler not in self.own]
        (self.listener,) = (
            handler.__self__ for handler in self.ours if isinstance(handler.__self__, Listener)
        )

    def start(self) -> None:
        """Start the users and let them warm up."""
        self.runner.start(USERS, USERS)
        gevent.sleep(WARM_UP_SECONDS)

    def end(self) -> None:
        """Leave nothing behind: neither users nor the shipper."""
        for child in psutil.Process().children():
            child.kill()
        os._exit(0)

    def switch(self, kind: str) -> None:
        """Record requests as *kind* says from now on."""
        added = {"none": [], "stock": [self.stock.on_request]}.get(kind, self.ours)
        self.handlers[:] = [*self.own, *added]
        session = FastHttpSession if kind == "ours with headers" else Unmarked
        for greenlet in self.runner.user_greenlets:
            greenlet.args[0].client.__class__ = session

    def settle(self, kind: str) -> None:
        """Do what is left to do about the samples of a slice."""
        if kind == "stock":
            samples, self.stock._samples = self.stock._samples, []
            if samples:
                self.stock.write_samples_to_db(samples)
        self.listener.flush()

    def slice(self, kind: str, seconds: float) -> dict[str, Any]:
        """Measure one slice."""
        self.switch(kind)
        done, began, cpu = self.requests(), perf_counter(), process_time()
        gevent.sleep(seconds)
        self.settle(kind)
        requests = self.requests() - done
        spent_s, cpu_s = perf_counter() - began, process_time() - cpu
        return {"kind": kind, "requests": requests, "seconds": spent_s, "cpu_s": cpu_s}

    def requests(self) -> int:
        """Return how many requests have finished so far."""
        return int(self.runner.stats.total.num_requests)

    def cost_of_a_sample(self, kind: str, count: int) -> float:
        """Return the CPU µs of one sample, from the event on, beyond those of an empty event."""
        event, empty = EventHook(), EventHook()
        event._handlers = {
            "ours: listener": [self.listener.on_request],
            "ours: listener and health": self.ours,
            "stock": [self.stock.on_request],
        }[kind]
        began = process_time()
        for _ in range(count):
            event.fire(**SAMPLE, response=response())
        self.settle(kind)
        middle = process_time()
        for _ in range(count):
            empty.fire(**SAMPLE, response=response())
        return (2 * middle - began - process_time()) / count * 1e6


def compare_swarms(swarm: Swarm, rounds: int, seconds: float) -> None:
    """Print *rounds* rounds of slices, each kind once a round in random order."""
    order = (random.sample(KINDS, len(KINDS)) for _ in range(rounds))
    print(json.dumps([[swarm.slice(kind, seconds) for kind in kinds] for kinds in order]))


def compare_samples(swarm: Swarm) -> None:
    """Print the cost of a sample of each kind, in many turns."""
    swarm.environment.events.test_start.fire(environment=swarm.environment)
    costs = {
        kind: [swarm.cost_of_a_sample(kind, SAMPLES) for _ in range(TURNS)]
        for kind in ("ours: listener", "ours: listener and health", "stock")
    }
    print(json.dumps(costs))


def main(what: str, host: str, *arguments: str) -> None:
    """Measure, and end without waiting for what was measured to be delivered."""
    swarm = Swarm(host)
    if what == "swarm":
        swarm.start()
        compare_swarms(swarm, int(arguments[0]), float(arguments[1]))
    else:
        compare_samples(swarm)
    sys.stdout.flush()
    swarm.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
