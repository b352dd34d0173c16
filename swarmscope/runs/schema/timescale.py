"""What TimescaleDB adds where it is installed; everything works without it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql

from swarmscope.runs.connection import Connection

CHUNK = timedelta(days=1)  # pruning drops whole days
COMPRESS_AFTER = timedelta(days=2)


def install(connection: Connection) -> None:
    """Create the extension in this database if the server has it loaded.

    An ordinary role cannot see what is loaded (pg_settings lacks the row); on a server of our own a
    superuser has called this before.
    """
    loaded = connection.execute(
        "SELECT 1 FROM pg_available_extensions, pg_settings s"
        " WHERE pg_available_extensions.name = 'timescaledb'"
        " AND s.name = 'shared_preload_libraries'"
        " AND 'timescaledb' = ANY (string_to_array(replace(s.setting, ' ', ''), ','))"
    ).fetchone()
    if loaded and not installed(connection):
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public")


def installed(connection: Connection) -> bool:
    """Return whether this database has the extension."""
    query = "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"
    return connection.execute(query).fetchone() is not None


def licensed(connection: Connection) -> bool:
    """Return whether this is the edition under TimescaleDB's own licence, which can compress."""
    row = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return row == ("timescale",)


def use(connection: Connection) -> None:
    """Store `request` in chunks of a day, compressed after two if the licence allows it.

    Histograms stay in plain tables: each read names a run, which an index finds, and chunks would
    only make the planning of each panel's query slower.
    """
    if not installed(connection):
        return
    connection.execute(
        "SELECT public.create_hypertable('public.request', 'time', chunk_time_interval => %s,"
        " create_default_indexes => false, if_not_exists => true, migrate_data => true)",
        [CHUNK],
    )
    if licensed(connection):
        _compress(connection)


def _compress(connection: Connection) -> None:
    on = connection.execute(
        "SELECT compression_enabled FROM timescaledb_information.hypertables"
        " WHERE hypertable_schema = 'public' AND hypertable_name = 'request'"
    ).fetchone()
    if on != (True,):
        connection.execute(
            "ALTER TABLE public.request SET (timescaledb.compress,"
            " timescaledb.compress_segmentby = 'run_id', timescaledb.compress_orderby = 'time')"
        )
    connection.execute(
        "SELECT public.add_compression_policy('public.request', %s, if_not_exists => true)",
        [COMPRESS_AFTER],
    )


@dataclass(frozen=True)
class Chunk:
    """A part of `request`: rows from *since* until before *until*."""

    schema: str
    name: str
    since: datetime
    until: datetime


def chunks(connection: Connection, before: datetime) -> list[Chunk]:
    """Return the chunks of `request` that end before *before*, oldest first."""
    if not installed(connection):
        return []
    found = connection.execute(
        "SELECT chunk_schema, chunk_name, range_start, range_end"
        " FROM timescaledb_information.chunks"
        " WHERE hypertable_schema = 'public' AND hypertable_name = 'request' AND range_end <= %s"
        " ORDER BY range_end",
        [before],
    )
    return [Chunk(*row) for row in found]


def drop_chunk(connection: Connection, chunk: Chunk) -> int:
    """Drop a chunk in the current transaction; return how many rows went with it.

    The table is locked first, as the compression job does: `drop_chunks` alone locks TimescaleDB's
    catalog rows of the chunk before the table, and deadlocks with a job that holds the table.
    Returns 0 for a chunk that was dropped meanwhile.
    """
    table = sql.Identifier(chunk.schema, chunk.name)
    there = "SELECT to_regclass(%s)"
    if connection.execute(there, [table.as_string(connection)]).fetchone() == (None,):
        return 0
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    connection.execute(
        "SELECT public.drop_chunks('public.request', newer_than => %s, older_than => %s)",
        [chunk.since, chunk.until],
    )
    return int(row[0]) if row else 0
