"""One service three times in one worker: bare, with `instrument`, with the stock exporter.

The worker changes from one to the next every few hundred requests and keeps count of its time, so
that what disturbs the machine disturbs all three alike.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from flask import Flask
from prometheus_client import CollectorRegistry, values
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

from swarmscope.server import instrument

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

KINDS = ("bare", "ours", "stock")


def service(kind: str) -> Flask:
    """Build the service; gunicorn's hooks have chosen the values that `instrument` uses."""
    app = Flask(kind)
    if kind == "ours":
        instrument(app)
    elif kind == "stock":
        slots, values.ValueClass = values.ValueClass, values.MultiProcessValue()
        GunicornPrometheusMetrics(app, group_by="url_rule", registry=CollectorRegistry())
        values.ValueClass = slots

    @app.get("/hello/<name>")
    def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    return app


class Alternating:
    """A WSGI application that passes slices of requests to each kind in turn."""

    def __init__(self, requests: int) -> None:
        self.apps = {kind: service(kind) for kind in KINDS}
        self.requests = requests
        self.slices: list[tuple[str, float, float]] = []  # kind, seconds, CPU seconds; in threes
        self.turns: list[str] = []
        self.served = 0
        self.turn()

    def turn(self) -> None:
        """Begin a slice; every kind comes once before any comes again."""
        if not self.turns:
            self.turns = random.sample(KINDS, len(KINDS))
        self.kind = self.turns.pop()
        self.app = self.apps[self.kind]
        self.served = 0
        self.began, self.began_cpu = perf_counter(), process_time()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request, or what was measured under ``/slices``."""
        if environ["PATH_INFO"] == "/slices":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self.slices).encode()]
        self.served += 1
        if self.served == self.requests:
            seconds, cpu_s = perf_counter() - self.began, process_time() - self.began_cpu
            self.slices.append((self.kind, seconds / self.requests, cpu_s / self.requests))
            self.turn()
        return self.app(environ, start_response)


def create_app() -> Alternating:
    """Build the service, with slices of ``SLICE`` requests."""
    return Alternating(int(os.environ["SLICE"]))
