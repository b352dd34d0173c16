"""Where the testing types are kept: SQLite in WAL mode, or PostgreSQL.

SQLAlchemy Core with statements built once, so that their compiled form is found in its cache.
Connections are in autocommit mode: one statement needs no BEGIN and COMMIT around it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

FIRST = {"name": "unit testing", "description": "testing individual units of source code"}
BUSY_TIMEOUT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
POOL_SIZE = 5  # a worker; PostgreSQL's own default is 100 for all
ADVISORY_LOCK = 0x7465737473  # "tests"

metadata = sa.MetaData()
tests = sa.Table(
    "tests",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
)

_page = (
    sa.select(tests)
    .where(tests.c.id > sa.bindparam("after"))
    .order_by(tests.c.id)
    .limit(sa.bindparam("limit"))
    .subquery("page")
)
_count = sa.select(sa.func.count().label("total")).select_from(tests).subquery("count")
# The outer join gives the total even with an empty page, in one query.
PAGE = (
    sa.select(_count.c.total, _page.c.id, _page.c.name, _page.c.description)
    .select_from(_count.outerjoin(_page, sa.true()))
    .order_by(_page.c.id)
)
REPLACE = (
    sa.update(tests)
    .where(tests.c.name == sa.bindparam("known_name"))
    .values(description=sa.bindparam("description"))
)
LOCK = sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK))


@dataclass(frozen=True)
class Page:
    """Some testing types as (name, description), how many there are, and where to go on."""

    rows: list[tuple[str, str]]
    total: int
    next_after: int | None


class Storage:
    """The testing types in a database that several processes use at once.

    Every method raises sqlalchemy.exc.SQLAlchemyError when the database is away.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(sa.make_url(url))
        self._in_postgres = self._engine.dialect.name == "postgresql"
        level = "READ COMMITTED" if self._in_postgres else "SERIALIZABLE"
        self._transactions = self._engine.execution_options(isolation_level=level)
        insert = postgresql.insert(tests) if self._in_postgres else sqlite.insert(tests)
        self._keep = insert.on_conflict_do_nothing()
        self._upsert = insert.on_conflict_do_update(
            index_elements=["name"], set_={"description": insert.excluded.description}
        )
        self._prepared = False

    def prepare(self) -> None:
        """Create the table with its first row, once, whoever else is doing so too."""
        if self._prepared:
            return
        with self._alone() as connection:
            metadata.create_all(connection)
            connection.execute(self._keep, FIRST)
        self._engine.dispose()  # a connection must not be shared by processes forked from here
        self._prepared = True

    def page(self, limit: int, after: int) -> Page:
        """Return at most *limit* testing types that were added after the one with id *after*."""
        self.prepare()
        with self._engine.connect() as connection:
            found = connection.execute(PAGE, {"limit": limit + 1, "after": after}).all()
        total = found[0][0]
        rows = [(name, description) for _, id_, name, description in found if id_ is not None]
        if len(rows) <= limit:
            return Page(rows, total, None)
        return Page(rows[:limit], total, found[limit - 1][1])

    def put(self, name: str, description: str) -> None:
        """Add a testing type at the end, or replace the description of the one with that name."""
        self.prepare()
        with self._engine.connect() as connection:
            known = {"known_name": name, "description": description}
            if connection.execute(REPLACE, known).rowcount:
                return
        with self._alone() as connection:
            connection.execute(self._upsert, {"name": name, "description": description})

    def check(self) -> None:
        """Do what every request needs of the database."""
        self.page(limit=1, after=0)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        """Give a transaction that no other one of this kind overlaps, in any process.

        Ids are then in the order of commits, so nothing appears before what was already seen.
        """
        if self._in_postgres:
            with self._transactions.begin() as connection:
                connection.execute(LOCK)
                yield connection
        else:
            with _file_lock(self._engine.url), self._transactions.begin() as connection:
                yield connection


def _engine(url: sa.URL) -> sa.Engine:
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "hide_parameters": True,
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT_SECONDS,
    }
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}, **options)
        sa.event.listen(engine, "connect", _use_wal)
        return engine
    limits = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"), connect_args=limits, **options
    )


def _use_wal(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # safe in WAL mode, without a sync a commit


@contextlib.contextmanager
def _file_lock(url: sa.URL) -> Iterator[None]:
    """Keep other processes out: SQLite's own lock does not wait when WAL mode is switched on."""
    directory = os.open(Path(url.database or "").parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
