"""A service whose requests hold places for known times, by stopwatches of its own.

``/short`` and ``/long`` hold a connection of a pool of three while they use CPU, then call another
service without it. ``/stopwatch`` has the seconds that each was held, as JSON.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
import urllib3
from flask import Flask
from gunicorn.workers.gthread import ThreadWorker

from swarmscope.server import instrument

CALLED = os.environ.get("CALLED", "")
PATHS = {"/short": (0.02, 0.002, 0.01), "/long": (0.08, 0.004, 0.03)}  # held, CPU, called; seconds
PLACES = 3

engine = sqlalchemy.create_engine(
    "sqlite://", poolclass=sqlalchemy.pool.QueuePool, pool_size=2, max_overflow=PLACES - 2,
    connect_args={"check_same_thread": False}, pool_logging_name="main",
)  # fmt: skip
service = urllib3.connection_from_url(CALLED, maxsize=8) if CALLED else None


class Stopwatch:
    """Adds up seconds, by what was held and by route."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held: defaultdict[str, float] = defaultdict(float)

    def add(self, what: str, seconds: float) -> None:
        with self._lock:
            self.held[what] += seconds

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(what, time.perf_counter() - began)


stopwatch = Stopwatch()


def work(path: str) -> str:
    """Hold what the path says."""
    held_s, cpu_s, called_s = PATHS[path]
    with stopwatch.on("waiting"):
        connection = engine.raw_connection()
    with stopwatch.on(f"pool {path}"):
        began = time.thread_time()
        while time.thread_time() - began < cpu_s:
            pass
        time.sleep(held_s)
    connection.close()
    with stopwatch.on("service"):
        service.request("GET", f"/?ms={1000 * called_s}")
    return path


def create_app() -> Any:
    """Return the app, with a stopwatch around gunicorn's handling of each request."""
    app = Flask(__name__)
    for path in PATHS:
        app.add_url_rule(path, path, work, defaults={"path": path})
    app.add_url_rule("/stopwatch", "stopwatch", lambda: {**stopwatch.held, **cpu()})
    instrument(app, exclude=["/stopwatch"])
    handle = ThreadWorker.handle_request

    def handle_request(worker: Any, request: Any, connection: Any) -> bool:
        with stopwatch.on(f"workers {request.path}"):
            return bool(handle(worker, request, connection))

    ThreadWorker.handle_request = handle_request
    return app


def cpu() -> dict[str, float]:
    """Return the CPU time of this process, the only worker."""
    return {"python": time.process_time()}
