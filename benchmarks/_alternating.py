"""One service several times in one worker, each with another instrumentation.

The worker changes from one to the next every few dozen requests and keeps count of its time, so
that what disturbs the machine disturbs all of them alike.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Iterable, Sequence
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import sqlalchemy
from flask import Flask
from prometheus_client import CollectorRegistry, values
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

from benchmarks import _opentelemetry
from swarmscope.server import instrument, measured_connect

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ALL = BARE, MEASURED, PLAIN, STOCK, TRACED = (
    "bare",
    "ours",
    "ours, no components",
    "stock",
    "OpenTelemetry",
)


def service(kind: str) -> Flask:
    """Build the service; gunicorn's hooks have chosen the values that `instrument` uses."""
    app = Flask(kind)
    engine = _engine(measured=kind == MEASURED)
    if kind == MEASURED:
        instrument(app)
    elif kind == PLAIN:
        instrument(app, components=(), propagate=())
    elif kind == STOCK:
        slots, values.ValueClass = values.ValueClass, values.MultiProcessValue()
        GunicornPrometheusMetrics(app, group_by="url_rule", registry=CollectorRegistry())
        values.ValueClass = slots
    elif kind == TRACED:
        _opentelemetry.instrument(app, engine)
    _add_views(app, engine, measured_connect(sqlite3) if kind == MEASURED else sqlite3.connect)
    return app


def _engine(measured: bool) -> sqlalchemy.Engine:
    """Return an engine, whose connections are the driver's own if it is not *measured*."""
    connect = measured_connect(sqlite3) if measured else sqlite3.connect
    return sqlalchemy.create_engine(
        "sqlite://",
        creator=lambda: connect(":memory:", check_same_thread=False),
        poolclass=sqlalchemy.pool.QueuePool,
    )


def _add_views(app: Flask, engine: sqlalchemy.Engine, connect: type | object) -> None:
    connection = connect(":memory:", check_same_thread=False)  # type: ignore[operator]
    statement = sqlalchemy.text("SELECT 1")

    @app.get("/hello/<name>")
    def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    @app.get("/sqlite3/<int:number>")
    def query(number: int) -> str:
        for _ in range(number):
            connection.execute("SELECT 1").fetchall()
        return "done"

    @app.get("/sqlalchemy/<int:number>")
    def query_engine(number: int) -> str:
        with engine.connect() as borrowed:
            for _ in range(number):
                borrowed.execute(statement).all()
        return "done"


class Alternating:
    """A WSGI application that passes slices of requests to each kind in turn."""

    def __init__(self, kinds: Sequence[str], requests: int) -> None:
        self.apps = {kind: service(kind) for kind in kinds}
        self.requests = requests
        self.slices: list[tuple[str, float, float]] = []  # kind, seconds, CPU seconds; by rounds
        self.turns: list[str] = []
        self.served = 0
        self.turn()

    def turn(self) -> None:
        """Begin a slice; every kind comes once before any comes again."""
        if not self.turns:
            self.turns = random.sample(list(self.apps), len(self.apps))
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
    """Build the service: ``KINDS``, separated by semicolons, with slices of ``SLICE`` requests."""
    return Alternating(os.environ["KINDS"].split(";"), int(os.environ["SLICE"]))
