"""A service whose requests spend known times in known components, by a stopwatch of its own.

``/?do=cpu:20,db:30`` does one after the other; the response has the milliseconds of each component
as a stopwatch around it measured them. What each name does is in `PIECES`, with ``DRIVERS`` in the
environment in `component_drivers`, too.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import defaultdict

import requests
import sqlalchemy
from flask import Flask, Response, request

from swarmscope.server import instrument

CALLED = os.environ.get("CALLED", "")
DATABASE = os.environ.get("DATABASE", "sqlite:///:memory:")


def burn(ms: float) -> float:
    """Use that much CPU time of this thread."""
    began = time.thread_time()
    while time.thread_time() - began < ms / 1000:
        pass
    return time.thread_time() - began


def sleep(ms: float) -> float:
    began = time.perf_counter()
    time.sleep(ms / 1000)
    return time.perf_counter() - began


session = requests.Session()
session.trust_env = False  # reading the environment for each request takes a while


def send(query: str, **options: float) -> float:
    """Call the other service; return how long that took."""
    prepared = requests.Request("GET", f"{CALLED}/?{query}").prepare()
    began = time.perf_counter()
    try:
        session.send(prepared, **options)
    except requests.Timeout:
        assert options
    return time.perf_counter() - began


def call(ms: float) -> float:
    return send(f"ms={ms}")


def call_slow_body(ms: float) -> float:
    return send(f"body_ms={ms}")


def call_failing(ms: float) -> float:
    return send(f"ms={10 * ms}", timeout=ms / 1000)


engine = sqlalchemy.create_engine(
    DATABASE, poolclass=sqlalchemy.pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=5,
    connect_args={"check_same_thread": False},
)  # fmt: skip


@sqlalchemy.event.listens_for(engine, "connect")
def _add_function(connection: sqlite3.Connection, _: object) -> None:
    connection.create_function("wait", 1, sleep)


def fetch(ms: float) -> float:
    """The rows of a SELECT, each of which takes a tenth."""
    rows = " UNION ALL ".join(["SELECT 1"] * 10)
    connection = engine.raw_connection()
    cursor = connection.cursor()
    began = time.perf_counter()
    cursor.execute(f"SELECT wait({ms / 10}) FROM ({rows})").fetchall()
    took = time.perf_counter() - began
    connection.close()
    return took


def insert(rows: float) -> float:
    """An INSERT whose time is in COMMIT, too."""
    values = [(number, "x" * 100) for number in range(int(rows) * 10)]
    connection = engine.raw_connection()
    cursor = connection.cursor()
    began = time.perf_counter()
    cursor.execute("CREATE TABLE IF NOT EXISTS item (id, name)")
    cursor.executemany("INSERT INTO item VALUES (?, ?)", values)
    connection.commit()
    took = time.perf_counter() - began
    connection.close()
    return took


def wait_for_connection(ms: float) -> float:
    """The only connection of the pool, which a thread holds for a while."""
    taken = threading.Event()

    def hold() -> None:
        with engine.connect():
            taken.set()
            sleep(ms)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(5)
    began = time.perf_counter()
    connection = engine.raw_connection()
    took = time.perf_counter() - began
    connection.close()
    thread.join()
    return took


def call_in_a_statement(ms: float) -> tuple[float, float]:
    """What is innermost counts: the statement waits for the other service."""
    took: list[float] = []
    connection = engine.raw_connection()
    connection.dbapi_connection.create_function("call", 1, lambda ms: took.append(call(ms)))
    cursor = connection.cursor()
    began = time.perf_counter()
    cursor.execute(f"SELECT call({ms})").fetchall()
    in_statement = time.perf_counter() - began
    connection.close()
    return took[0], in_statement - took[0]


PIECES = {
    "cpu": ("cpu", burn),
    "other": ("other", sleep),
    "http": ("http", call),
    "body": ("http", call_slow_body),
    "timeout": ("http", call_failing),
    "fetch": ("db", fetch),
    "insert": ("db", insert),
    "pool": ("pool", wait_for_connection),
    "nested": ("http,db", call_in_a_statement),
}


if "DRIVERS" in os.environ:
    from support import component_drivers

    PIECES |= component_drivers.pieces(CALLED)


def create_app() -> Flask:
    app = Flask(__name__)
    instrument(app)

    @app.get("/")
    def index() -> Response:
        took: dict[str, float] = defaultdict(float)
        for piece in request.args["do"].split(","):
            name, _, ms = piece.partition(":")
            components, do = PIECES[name]
            seconds = do(float(ms))
            several = seconds if isinstance(seconds, tuple) else (seconds,)
            for component, each in zip(components.split(","), several, strict=True):
                took[component] += 1000 * each
        headers = {f"Took-{name}": str(ms) for name, ms in took.items()}
        if "stream" in request.args:

            def body():
                yield "a"
                burn(20)
                call(20)

            return Response(body(), headers=headers)
        return Response("done", int(request.args.get("status", 200)), headers)

    return app
