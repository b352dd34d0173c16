"""Connecting to the runs database, for everything that reads."""

from __future__ import annotations

import psycopg
from psycopg import conninfo

from swarmscope.formatting import first_line
from swarmscope.home import Unreachable, locate_database, names_database
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import migrations

CONNECT_TIMEOUT_S = 10
START_ALONE = "`swarmscope up --only postgres` starts the database alone"


def connect(database: str | None = None, **parameters: str) -> Connection:
    """Connect, in autocommit mode and in UTC, to the database that `locate_database` finds.

    *parameters* (libpq's names) go before what is said there. Raises `Unreachable` with one line
    that says what is wrong and never holds a password.
    """
    settings = {
        "application_name": "swarmscope",
        "client_encoding": "UTF8",
        "connect_timeout": str(CONNECT_TIMEOUT_S),
    }
    try:
        where = conninfo.make_conninfo(locate_database(database), **(settings | parameters))
    except psycopg.ProgrammingError as error:
        raise Unreachable("--database is no connection string that libpq understands") from error
    try:
        connection = psycopg.connect(where, autocommit=True)
    except psycopg.OperationalError as error:
        is_of_home = database is None and not names_database()
        reason = first_line(error) + (f"; {START_ALONE}" if is_of_home else "")
        raise Unreachable(f"the runs database cannot be reached: {reason}") from error
    connection.execute("SET TIME ZONE 'UTC'")
    return connection


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
