"""TimescaleDB and other extensions open no door to either role."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from support import attacks
from support.timescale import connection_string

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema.roles import READER

pytestmark = pytest.mark.compose


ATTACKS_BY_OWNER = [
    # jobs run with the rights of their owner
    "SELECT delete_job(1)",
    "SELECT alter_job(1, scheduled => false)",
    "CALL run_job(1)",
    "INSERT INTO _timescaledb_config.bgw_job DEFAULT VALUES",
    "UPDATE _timescaledb_config.bgw_job SET owner = 'postgres'",
    "DELETE FROM _timescaledb_catalog.chunk",
    "UPDATE _timescaledb_catalog.metadata SET value = 'x'",
    "SELECT timescaledb_pre_restore()",
    "SELECT timescaledb_post_restore()",
    "SELECT _timescaledb_functions.stop_background_workers()",
    "SELECT _timescaledb_functions.restart_background_workers()",
    "SET timescaledb.license = 'apache'",
    "ALTER EXTENSION timescaledb UPDATE",
    "DROP EXTENSION timescaledb",
    # what other extensions keep for superusers
    "SELECT dblink_connect_u('host=/var/run/postgresql user=postgres')",
    "SELECT pg_stat_statements_reset()",
    "SELECT pg_buffercache_evict(1)",
    "CREATE SERVER mine FOREIGN DATA WRAPPER file_fdw",
    "CREATE SERVER mine FOREIGN DATA WRAPPER postgres_fdw",
]


@pytest.mark.parametrize("attack", attacks.BY_OWNER + ATTACKS_BY_OWNER)
def test_the_owner_reaches_nothing_but_its_tables(owner, attack):
    """As on plain PostgreSQL, although extensions are there for the asking."""
    assert attacks.refused(owner, attack)


def test_dblink_lets_nobody_in_without_a_password(owner):
    """What is left of it to the owner asks for one, although a socket would trust the superuser."""
    query = (
        "SELECT * FROM dblink('host=/var/run/postgresql user=postgres', 'SELECT 1') AS t (a int)"
    )
    with pytest.raises(psycopg.errors.lookup("2F003")):
        owner.execute(query)


@pytest.fixture(scope="package")
def reader(superuser, database) -> Iterator[Connection]:
    """The reader's connection, made writable as far as a session can do that by itself."""
    where = connection_string(superuser, database, READER)
    with psycopg.connect(where, autocommit=True) as reader:
        reader.execute("SET default_transaction_read_only = off")
        yield reader


@pytest.mark.parametrize("attack", attacks.BY_READER)
def test_the_reader_does_nothing_but_read(reader, attack):
    """As on plain PostgreSQL."""
    try:
        assert attacks.refused(reader, attack)
    finally:
        reader.rollback()


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT create_hypertable('events', 'time')",
        "SELECT drop_chunks('request', older_than => interval '0')",
        "SELECT add_job('pg_sleep', '1s')",
        "SELECT set_chunk_time_interval('request', interval '1 h')",
        "CALL run_job(1)",
        "SELECT delete_job(1)",
        "SELECT timescaledb_pre_restore()",
        "INSERT INTO _timescaledb_config.bgw_job DEFAULT VALUES",
        "DELETE FROM _timescaledb_catalog.chunk",
        "UPDATE _timescaledb_catalog.metadata SET value = 'x'",
        "SELECT dblink_connect('host=127.0.0.1')",
    ],
)
def test_timescale_opens_no_door_to_the_reader(reader, attack):
    """The extensions' own functions and catalogs are closed too, while reading works."""
    reader.execute("SELECT time_bucket('1 min', time), count(*) FROM request GROUP BY 1")
    assert attacks.refused(reader, attack)
