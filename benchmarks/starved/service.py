"""A Flask service whose routes are lists of steps, each of which needs one known thing.

``STARVED`` is a `Settings` as JSON::

    {"routes": {"/orders": [["hold_connection", 30], ["sleep", 5]]}, "pool": 2}
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import msgspec
import requests
import sqlalchemy
from flask import Flask
from requests.adapters import HTTPAdapter

Step = tuple[str, float]  # the name of a method of `Steps`, and what it is called with
POOL_WAIT_S = 60  # longer than a run, so that a request waits and does not fail
CALLS = 64  # connections to the other service


class Settings(msgspec.Struct):
    """What a service does; *pool* is the size of each worker's pool of database connections."""

    routes: Mapping[str, Sequence[Step]]
    pool: int = 1
    database: str = ""
    downstream: str = ""


class Steps:
    """What a request may do. Times are in ms."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._at_once = 0

    def sleep(self, ms: float) -> None:
        """Hold nothing but the worker."""
        time.sleep(ms / 1000)

    def burn(self, ms: float) -> None:
        """Use the CPU for *ms* of its time, holding the GIL."""
        until = time.thread_time() + ms / 1000
        while time.thread_time() < until:
            pass

    def hold_lock(self, ms: float) -> None:
        """Hold the process's only lock."""
        with self._lock:
            time.sleep(ms / 1000)

    def hold_connection(self, ms: float) -> None:
        """Hold a connection of the pool, mostly without using it."""
        with self._engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            time.sleep(ms / 1000)

    def lock_row(self, ms: float) -> None:
        """Hold the lock of a row that every request needs."""
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT id FROM item WHERE id = 1 FOR UPDATE"))
            time.sleep(ms / 1000)

    def find(self, label: float) -> None:
        """Read all of a table, because there is no index."""
        with self._engine.connect() as connection:
            statement = sqlalchemy.text("SELECT id FROM item WHERE label = :label")
            connection.execute(statement, {"label": f"item {label:.0f}"}).all()

    def call(self, _: float) -> None:
        """Wait for the other service."""
        self._session.get(self._settings.downstream).raise_for_status()

    def slow_down(self, ms: float) -> None:
        """Take *ms* alone, and more than in proportion to those at work at once."""
        self._at_once += 1
        try:
            time.sleep(ms * self._at_once**1.2 / 1000)
        finally:
            self._at_once -= 1

    @cached_property
    def _engine(self) -> sqlalchemy.Engine:
        pool = {"pool_size": self._settings.pool, "max_overflow": 0, "pool_timeout": POOL_WAIT_S}
        return sqlalchemy.create_engine(self._settings.database, **pool)

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(pool_maxsize=CALLS))
        return session


def create_app() -> Flask:
    """Build the service that ``STARVED`` describes."""
    app = Flask(__name__)
    settings = msgspec.json.decode(os.environ["STARVED"], type=Settings)
    steps = Steps(settings)
    for path, names in settings.routes.items():
        app.add_url_rule(path, path, _view(steps, names))
    return app


def _view(steps: Steps, names: Sequence[Step]) -> Callable[[], str]:
    todo = [(getattr(steps, name), argument) for name, argument in names]

    def view() -> str:
        for step, argument in todo:
            step(argument)
        return "done"

    return view
