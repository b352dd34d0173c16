"""More pieces for `component_service`: drivers and clients of real servers.

Each returns the seconds that a stopwatch around it measured.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import psycopg2
import pymysql
import redis
import sqlalchemy
from pymysql.cursors import SSCursor
from sqlalchemy.orm import scoped_session, sessionmaker

from swarmscope.server import measured_connect

POSTGRESQL = os.environ.get("POSTGRESQL", "")  # the connection string of an empty database
MARIADB_PORT = int(os.environ.get("MARIADB_PORT", 0))
REDIS_PORT = int(os.environ.get("REDIS_PORT", 0))
SLOW_COMMIT = """
    CREATE TABLE IF NOT EXISTS item (ms float);
    CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(NEW.ms / 1000); RETURN NULL; END';
    DROP TRIGGER IF EXISTS slow ON item;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()
"""


def stopwatch(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


class PostgreSQL:
    """Pieces with one connection of a *driver*."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.connection = measured_connect(driver)(POSTGRESQL)
        self.connection.cursor().execute(SLOW_COMMIT)
        self.connection.commit()

    def fetch(self, ms: float) -> float:
        """Rows of a cursor of the server, which it makes when they are fetched."""

        def do() -> None:
            rows = self.connection.cursor("rows")
            rows.execute(f"SELECT pg_sleep({ms / 3000}) FROM generate_series(1, 3)")
            began = time.perf_counter()
            assert len(rows.fetchall()) == 3
            assert time.perf_counter() - began >= 0.9 * ms / 1000
            rows.close()
            self.connection.rollback()

        return stopwatch(do)

    def commit(self, ms: float) -> float:
        def do() -> None:
            self.connection.cursor().execute("INSERT INTO item VALUES (%s)", (ms,))
            took = stopwatch(self.connection.commit)
            assert took >= ms / 1000

        return stopwatch(do)

    def time_out(self, ms: float) -> float:
        def do() -> None:
            cursor = self.connection.cursor()
            cursor.execute(f"SET LOCAL statement_timeout = {int(ms)}")
            try:
                cursor.execute("SELECT pg_sleep(9)")
            except self.driver.OperationalError:
                self.connection.rollback()

        return stopwatch(do)


class MariaDB:
    """Pieces with PyMySQL; COMMIT takes as long as the server is told to wait."""

    def __init__(self) -> None:
        connect = measured_connect(pymysql)
        self.connection = connect(host="127.0.0.1", port=MARIADB_PORT, user="root", database="test")
        self.connection.cursor().execute("CREATE TABLE IF NOT EXISTS item (id int)")

    def fetch(self, ms: float) -> float:
        """Rows that are too long to be sent together, of an unbuffered cursor."""
        numbers = " UNION ALL ".join(["SELECT 1"] * 5)

        def do() -> None:
            rows = self.connection.cursor(SSCursor)
            rows.execute(f"SELECT SLEEP({ms / 5000}), REPEAT('x', 20000) FROM ({numbers}) n")
            began = time.perf_counter()
            assert len(rows.fetchall()) == 5
            assert time.perf_counter() - began >= 0.6 * ms / 1000

        return stopwatch(do)

    def commit(self, ms: float) -> float:
        def do() -> None:
            self.connection.cursor().execute("INSERT INTO item VALUES (1)")
            assert stopwatch(self.connection.commit) >= 0.5 * ms / 1000

        return stopwatch(do)


class Sqlite3:
    """An INSERT whose COMMIT is slow: SQLite calls a function with the text of each statement."""

    def __init__(self) -> None:
        self.connection = measured_connect(sqlite3)(":memory:", check_same_thread=False)
        self.connection.execute("CREATE TABLE item (id)")
        self.connection.commit()

    def commit(self, ms: float) -> float:
        def trace(statement: str) -> None:
            if statement == "COMMIT":
                time.sleep(ms / 1000)

        def do() -> None:
            self.connection.execute("INSERT INTO item VALUES (1)")
            assert stopwatch(self.connection.commit) >= ms / 1000

        self.connection.set_trace_callback(trace)
        return stopwatch(do)


class Engines:
    """Scoped sessions of two engines in one request; the stopwatch is SQLAlchemy's own events."""

    def __init__(self) -> None:
        self.began = self.took_s = 0.0
        self.sessions = [self._session(), self._session()]

    def _session(self) -> Any:
        engine = sqlalchemy.create_engine(
            "sqlite://", poolclass=sqlalchemy.pool.StaticPool,
            connect_args={"check_same_thread": False},
        )  # fmt: skip

        @sqlalchemy.event.listens_for(engine, "connect")
        def add_function(connection: sqlite3.Connection, _: object) -> None:
            connection.create_function(
                "wait", 1, lambda ms: stopwatch(lambda: time.sleep(ms / 1000))
            )

        @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
        def begin(*_: object) -> None:
            self.began = time.perf_counter()

        @sqlalchemy.event.listens_for(engine, "after_cursor_execute")
        def end(*_: object) -> None:
            self.took_s += time.perf_counter() - self.began

        return scoped_session(sessionmaker(bind=engine))

    def query(self, ms: float) -> float:
        self.took_s = 0.0
        statement = sqlalchemy.text(f"SELECT wait({ms / 2})")
        for session in self.sessions:
            assert session.execute(statement).scalar() >= ms / 2000
            session.remove()
        return self.took_s


def send_by_httpx(client: httpx.Client, url: str) -> float:
    request = client.build_request("GET", url)
    return stopwatch(lambda: client.send(request))


def burn_in_a_thread(ms: float) -> float:
    """CPU time that is not the request's own: it waits for the thread."""

    def burn() -> None:
        end = time.thread_time() + ms / 1000
        while time.thread_time() < end:
            pass

    thread = threading.Thread(target=burn)
    thread.start()
    return stopwatch(thread.join)


def pieces(called: str) -> dict[str, tuple[str, Callable[[float], Any]]]:
    """Return the component and the function of each piece, by name."""
    client = httpx.Client(trust_env=False)
    found: dict[str, tuple[str, Callable[[float], Any]]] = {
        "sqlite3_commit": ("db", Sqlite3().commit),
        "engines": ("db", Engines().query),
        "httpx": ("http", lambda ms: send_by_httpx(client, f"{called}/?ms={ms}")),
        "thread": ("other", burn_in_a_thread),
    }
    for driver in (psycopg, psycopg2) if POSTGRESQL else ():
        name, one = driver.__name__, PostgreSQL(driver)
        found |= {f"{name}_fetch": ("db", one.fetch), f"{name}_commit": ("db", one.commit)}
        found |= {f"{name}_time_out": ("db", one.time_out)}
    if MARIADB_PORT:
        maria = MariaDB()
        found |= {"pymysql_fetch": ("db", maria.fetch), "pymysql_commit": ("db", maria.commit)}
    if REDIS_PORT:
        server = redis.Redis(port=REDIS_PORT)
        found["redis"] = (
            "cache",
            lambda ms: stopwatch(lambda: server.execute_command("DEBUG", "SLEEP", ms / 1000)),
        )
    return found
