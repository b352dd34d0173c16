"""Brings any runs database to the schema version of this code."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from functools import partial
from importlib import resources

from psycopg import sql

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import one_at_a_time, persist, timescale
from swarmscope.runs.schema.reader_sessions import READER

logger = logging.getLogger(__name__)


class NewerSchema(Exception):
    """A newer swarmscope migrated the database; the text is the line for the user."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"the runs database has schema version {version}, this swarmscope knows up to"
            f" {NEWEST}: upgrade swarmscope"
        )


def _scripts() -> dict[int, str]:
    """Return the SQL of each version: locust-plugins' own tables are version 1."""
    package = resources.files("swarmscope.runs.schema")
    scripts = {1: (package / "schema.sql").read_text(encoding="utf-8")}
    for file in package.iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            scripts[int(match[1])] = file.read_text(encoding="utf-8")
    return dict(sorted(scripts.items()))


def _views() -> str:
    """Return the SQL of all views and functions: a part may use what those before it define."""
    folder = resources.files("swarmscope.runs.schema") / "views"
    names = sorted(file.name for file in folder.iterdir())
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


SCRIPTS = _scripts()
NEWEST = max(SCRIPTS)
VIEWS = _views()


def migrate(connection: Connection) -> list[int]:
    """Apply the missing versions; return them, oldest first.

    *connection* belongs to the owner of the schema and is in autocommit mode. Each version is a
    transaction, so an interrupted migration leaves the last complete version. Concurrent callers
    wait for each other. Raises `NewerSchema` for a database that is newer than this code.
    """
    if not connection.autocommit:
        raise ValueError("migrate() needs a connection in autocommit mode")
    with one_at_a_time(connection):
        applied = _apply_versions(connection)
        for step in (timescale.install, timescale.use, _apply_views, _grant_reader):
            _transact(connection, step)
        return applied


def _transact(connection: Connection, step: Callable[[Connection], None]) -> None:
    """Run *step* in its own transaction, in the schema `public`."""

    def work() -> None:
        connection.execute("SET LOCAL search_path TO public")
        connection.execute("SET LOCAL client_min_messages TO warning")
        step(connection)

    persist(connection, work)


def version(connection: Connection) -> int:
    """Return the schema version of a database; 0 if it was never migrated."""
    if connection.execute("SELECT to_regclass('public.schema_version')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM public.schema_version")
    return int(row.fetchall()[0][0])


def _apply_versions(connection: Connection) -> list[int]:
    known = version(connection)
    if known > NEWEST:
        raise NewerSchema(known)
    missing = [number for number in SCRIPTS if number > known]
    for number in missing:
        _transact(connection, partial(_apply_version, number=number))
        logger.info("runs database: schema version %s applied", number)
    return missing


def _apply_version(connection: Connection, number: int) -> None:
    connection.execute(SCRIPTS[number])
    connection.execute("INSERT INTO schema_version VALUES (%s)", [number])


def _apply_views(connection: Connection) -> None:
    mark = f"views {hashlib.sha256(VIEWS.encode()).hexdigest()}"
    row = connection.execute(
        "SELECT obj_description(to_regclass('public.run'), 'pg_class')"
    ).fetchone()
    if row != (mark,):  # dropping views waits for every reader's query
        _drop_views(connection)
        connection.execute(VIEWS)
        connection.execute(sql.SQL("COMMENT ON VIEW run IS {}").format(sql.Literal(mark)))


def _drop_views(connection: Connection) -> None:
    """Drop what `VIEWS` creates, views first: they use the functions. Fails if others use those."""
    views = sql.SQL(", ").join(map(sql.Identifier, _created("VIEW", VIEWS)))
    connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(views))
    found = connection.execute(
        "SELECT oid::regprocedure::text FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace AND proname = ANY (%s)",
        [_created("FUNCTION", VIEWS)],
    )
    for (routine,) in found.fetchall():
        connection.execute(sql.SQL("DROP ROUTINE {}").format(sql.SQL(routine)))


def _created(kinds: str, script: str) -> list[str]:
    """Return the names of what *script* creates of *kinds*, a regular expression."""
    return re.findall(rf"(?m)^CREATE (?:{kinds})(?: IF NOT EXISTS)? (\w+)", script)


def _grant_reader(connection: Connection) -> None:
    """Grant the reader what these scripts created, and nothing else in the schema."""
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone()
    made = _created("TABLE|VIEW", "\n".join((*SCRIPTS.values(), VIEWS)))
    there = connection.execute(
        "SELECT name FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NOT NULL", [made]
    ).fetchall()
    if exists:
        names = sql.SQL(", ").join(sql.Identifier("public", name) for (name,) in there)
        connection.execute(
            sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(names, sql.Identifier(READER))
        )
