"""Finding the runs database and connecting to it, for every verb that reads."""

from __future__ import annotations

import os
from typing import Any

import psycopg
from psycopg import conninfo

from swarmscope import home
from swarmscope.runs.schema import migrations

Connection = psycopg.Connection[Any]

LIBPQ_VARIABLES = ("PGHOST", "PGSERVICE", "PGDATABASE")  # any of them says where to connect
CONNECT_TIMEOUT_S = 10
START_ALONE = "`swarmscope up --only postgres` starts the database alone"


class Unreachable(Exception):
    """There is no runs database to be had; the text is the line for the user."""


def locate(database: str | None = None) -> str:
    """Return a libpq connection string: *database*, else what ``PG*`` says, else the home's own.

    An empty string leaves everything to libpq. Raises `Unreachable` when nothing says where.
    """
    if database is not None:
        return database
    if any(os.environ.get(name) for name in LIBPQ_VARIABLES):
        return ""
    file = home.find() / "database.url"
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unreachable(
            f"no runs database: {file} cannot be read ({error.strerror}); start one with"
            " `swarmscope up`, let SWARMSCOPE_HOME say where one was started, or name one with"
            " --database or PGHOST"
        ) from error


def connect(database: str | None = None, **parameters: str) -> Connection:
    """Connect, in autocommit mode and in UTC, to the database that `locate` finds.

    *parameters* (libpq's names) go before what is said there. Raises `Unreachable` with one line
    that says what is wrong and never holds a password.
    """
    settings = {
        "application_name": "swarmscope",
        "client_encoding": "UTF8",
        "connect_timeout": str(CONNECT_TIMEOUT_S),
    }
    try:
        where = conninfo.make_conninfo(locate(database), **(settings | parameters))
    except psycopg.ProgrammingError as error:
        raise Unreachable("--database is no connection string that libpq understands") from error
    try:
        connection = psycopg.connect(where, autocommit=True)
    except psycopg.OperationalError as error:
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        hint = f"; {START_ALONE}" if _is_of_home(database) else ""
        raise Unreachable(f"the runs database cannot be reached: {reason}{hint}") from error
    connection.execute("SET TIME ZONE 'UTC'")
    return connection


def _is_of_home(database: str | None) -> bool:
    """Tell whether `locate` goes by the home, whose database this machine can start."""
    return database is None and not any(os.environ.get(name) for name in LIBPQ_VARIABLES)


def connect_to_read(database: str | None = None) -> Connection:
    """Connect as `connect` does, to a database whose schema is the one that this code reads."""
    connection = connect(database)
    version = migrations.version(connection)
    if version > migrations.NEWEST:
        raise migrations.NewerSchema(version)
    if version < migrations.NEWEST:
        raise Unreachable(
            f"the runs database has schema version {version}, this swarmscope reads"
            f" {migrations.NEWEST}: run `swarmscope migrate` against it"
        )
    return connection
