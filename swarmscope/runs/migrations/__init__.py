"""Brings a runs database to the schema that this code knows, whatever it held before."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

LOCK = 0x5357524D  # "SWRM": the advisory lock that makes concurrent starts take turns
READER = "swarmscope_reader"

logger = logging.getLogger(__name__)


class NewerSchema(Exception):
    """The database was made by a newer swarmscope; its text is the line for the user."""


def _scripts() -> dict[int, str]:
    """Return the SQL of each version: locust-plugins' own tables are version 1."""
    package = resources.files("swarmscope.runs")
    scripts = {1: (package / "schema.sql").read_text(encoding="utf-8")}
    for file in (package / "migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            scripts[int(match[1])] = file.read_text(encoding="utf-8")
    return dict(sorted(scripts.items()))


SCRIPTS = _scripts()
NEWEST = max(SCRIPTS)


def migrate(connection: Connection) -> list[int]:
    """Apply what is missing; return the versions applied now, oldest first.

    *connection* belongs to the owner of the schema and is in autocommit mode. Each version is a
    transaction, so that an interrupted migration leaves the last whole version. Several callers
    at once take turns. Raises `NewerSchema` for a database that is newer than this code.
    """
    if not connection.autocommit:
        raise ValueError("migrate() needs a connection in autocommit mode")
    with _only_one(connection):
        applied = []
        for version in range(_version(connection) + 1, NEWEST + 1):
            with _transaction(connection):
                connection.execute(SCRIPTS[version])
                connection.execute("INSERT INTO schema_version VALUES (%s)", [version])
            logger.info("runs database: version %s applied", version)
            applied.append(version)
        _use_timescale(connection)
        with _transaction(connection):
            _apply_views(connection)
            _grant_reader(connection)
        return applied


@contextmanager
def _only_one(connection: Connection) -> Iterator[None]:
    connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SET LOCAL search_path TO public")
        connection.execute("SET LOCAL client_min_messages TO warning")
        yield


def _version(connection: Connection) -> int:
    with _transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version"
            " (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
        row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    assert row
    version = int(row[0])
    if version > NEWEST:
        raise NewerSchema(
            f"the runs database has schema version {version}, this swarmscope knows up to"
            f" {NEWEST}: upgrade swarmscope"
        )
    return version


def _use_timescale(connection: Connection) -> None:
    """Make `request` a hypertable where TimescaleDB is loaded, compressed where its licence allows.

    The histograms stay plain: every read of them names a run, which an index finds, and chunks
    would only add to the planning of each panel's query.
    """
    loaded = connection.execute(
        "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
        " AND current_setting('shared_preload_libraries') LIKE '%timescaledb%'"
    ).fetchone()
    if not loaded:
        return
    with _transaction(connection):
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public")
    with _transaction(connection):
        connection.execute(
            "SELECT create_hypertable('request', 'time', chunk_time_interval => interval '1 day',"
            " if_not_exists => true, migrate_data => true)"
        )


def _apply_views(connection: Connection) -> None:
    views = (resources.files("swarmscope.runs") / "views.sql").read_text(encoding="utf-8")
    mark = f"views.sql {hashlib.sha256(views.encode()).hexdigest()}"
    row = connection.execute(
        "SELECT obj_description(to_regclass('public.run'), 'pg_class')"
    ).fetchone()
    if row != (mark,):  # dropping what is in use would wait for every reader's query
        connection.execute(views)
        connection.execute(sql.SQL("COMMENT ON VIEW run IS {}").format(sql.Literal(mark)))


def _grant_reader(connection: Connection) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone()
    if exists:
        connection.execute(
            sql.SQL(
                "GRANT USAGE ON SCHEMA public TO {0};"
                " GRANT SELECT ON ALL TABLES IN SCHEMA public TO {0}"
            ).format(sql.Identifier(READER))
        )
