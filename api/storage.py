"""Stores the testing types in SQLite (WAL mode) or PostgreSQL.

SQLAlchemy pools the connections and handles the dialects. The statements of a request are passed as
text to the driver's cursor: SQLAlchemy's own execution took 2.5 times as long.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

FIRST = {"name": "unit testing", "description": "testing individual units of source code"}
BUSY_TIMEOUT_SECONDS = 5
CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
POOL_SIZE = 5  # per worker; PostgreSQL's default is 100 in all
ADVISORY_LOCK = 0x7465737473  # "tests"

log = logging.getLogger(__name__)

metadata = sa.MetaData()
tests = sa.Table(
    "tests",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
)
# The outer join returns the total even with an empty page, in one query.
PAGE = sa.text(
    "SELECT total, id, name, description FROM (SELECT count(*) AS total FROM tests) AS counted "
    "LEFT JOIN (SELECT * FROM tests WHERE id > :after ORDER BY id LIMIT :limit) AS page ON true "
    "ORDER BY id"
)
REPLACE = sa.text("UPDATE tests SET description = :description WHERE name = :name RETURNING id")


class Unavailable(Exception):
    """The database is unreachable or too busy."""


@dataclass(frozen=True)
class Page:
    """A page of (name, description), the total, and the id after which the next page starts."""

    rows: list[tuple[str, str]]
    total: int
    next_after: int | None


class Storage:
    """The testing types, in a database that several processes use at once.

    Its methods raise Unavailable.
    """

    def __init__(self, url: str) -> None:
        self._engine = engine = _engine(sa.make_url(url))
        self._in_postgres = engine.dialect.name == "postgresql"
        self._page = str(PAGE.compile(dialect=engine.dialect))
        self._replace = str(REPLACE.compile(dialect=engine.dialect))
        driver = engine.dialect.dbapi
        assert driver
        self._unreachable = (driver.OperationalError, driver.InterfaceError)
        level = "READ COMMITTED" if self._in_postgres else "SERIALIZABLE"
        self._transactions = engine.execution_options(isolation_level=level)
        self._prepared = False
        self._logged = False

    def prepare(self) -> None:
        """Create the table with its first row, once, even if other processes do so, too."""
        if self._prepared:
            return
        with self._file_lock(), self._alone() as connection:
            metadata.create_all(connection)
            connection.execute(self._insert().on_conflict_do_nothing(), FIRST)
        self._engine.dispose()  # a connection must not be shared by processes forked from here
        self._prepared = True

    def page(self, limit: int, after: int) -> Page:
        """Return at most *limit* testing types that were added after the one with id *after*."""
        found = self._run(self._page, {"limit": limit + 1, "after": after})
        rows = [(name, description) for _, id_, name, description in found if id_ is not None]
        if len(rows) <= limit:
            return Page(rows, found[0][0], None)
        return Page(rows[:limit], found[0][0], found[limit - 1][1])

    def put(self, name: str, description: str) -> None:
        """Add a testing type at the end, or replace the description of the one with that name."""
        row = {"name": name, "description": description}
        if self._run(self._replace, row):
            return
        insert = self._insert()
        upsert = insert.on_conflict_do_update(
            index_elements=["name"], set_={"description": insert.excluded.description}
        )
        with self._alone() as connection:
            connection.execute(upsert, row)

    def check(self) -> None:
        """Run the query of a request; raises Unavailable."""
        self.page(limit=1, after=0)

    def _run(self, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*, which can safely be run twice.

        After a restart of the database the pooled connections are dead: the second attempt uses a
        new one.
        """
        self.prepare()
        try:
            try:
                rows = _fetch(self._engine.raw_connection(), statement, parameters)
            except self._unreachable:
                self._engine.dispose()
                rows = _fetch(self._engine.raw_connection(), statement, parameters)
        except (*self._unreachable, sa.exc.TimeoutError) as error:
            raise self._unavailable(error) from error
        if self._logged:
            self._logged = False
            log.warning("the database is back")
        return rows

    def _unavailable(self, error: BaseException) -> Unavailable:
        """Return the exception to raise; log it once, not for each request of a load test."""
        if not self._logged:
            self._logged = True
            log.error("the database is unreachable: %s", error)
        return Unavailable("the database is unreachable; try again")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        """Begin a transaction that overlaps no other of this kind, in any process.

        SQLite has one writer anyway. Ids are then in the order of commits, so that no row appears
        before one that was already read.
        """
        try:
            with self._transactions.begin() as connection:
                if self._in_postgres:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
                yield connection
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise self._unavailable(getattr(error, "orig", error)) from error

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Lock SQLite's directory while one process switches WAL mode on."""
        if self._in_postgres:
            yield
            return
        directory = os.open(Path(self._engine.url.database or "").parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(directory, fcntl.LOCK_UN)  # gevent delays closing, and so the unlocking
            os.close(directory)

    def _insert(self) -> postgresql.Insert | sqlite.Insert:
        return postgresql.insert(tests) if self._in_postgres else sqlite.insert(tests)


def _fetch(
    connection: sa.PoolProxiedConnection, statement: str, parameters: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Run *statement* and return the connection to its pool, or discard it after an error."""
    try:
        cursor = connection.cursor()
        cursor.execute(statement, parameters)
        rows = list(cursor.fetchall())
    except BaseException:
        connection.invalidate()
        raise
    connection.close()
    return rows


def _engine(url: sa.URL) -> sa.Engine:
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",  # one statement needs no BEGIN and COMMIT around it
        "hide_parameters": True,
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT_SECONDS,
    }
    if url.get_backend_name() == "sqlite":
        limits = {"timeout": BUSY_TIMEOUT_SECONDS}
        engine = sa.create_engine(url, paramstyle="named", connect_args=limits, **options)
        sa.event.listen(engine, "connect", _use_wal)
        return engine
    limits = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
    url = url.set(drivername="postgresql+psycopg")
    return sa.create_engine(url, connect_args=limits, **options)


def _use_wal(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # safe in WAL mode, without a sync per commit
