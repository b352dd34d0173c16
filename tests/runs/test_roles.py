"""The reader is attacked with what an anonymous viewer of Grafana can send: any SQL at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from support.stored_runs import Sample, store_run

from swarmscope.runs import roles
from swarmscope.runs.migrations import migrate
from swarmscope.runs.roles import OWNER, READER, connect_as_owner, prepare

Connection = psycopg.Connection[Any]

PASSWORDS = {OWNER: "owner:'\\ pässword", READER: 'reader"% pässword'}


@pytest.fixture(scope="module")
def prepared(cluster) -> Iterator[tuple[str, str]]:
    """A prepared and migrated server with a stored run; yields (superuser's DSN, database)."""
    where = (
        f"host=127.0.0.1 port={cluster.port} user=postgres dbname=postgres"
        f" passfile={cluster.passfile}"
    )
    database = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute("CREATE DATABASE somebody_elses")
        prepare(admin, PASSWORDS, database)
        with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
            migrate(owner)
            store_run(owner, [Sample(1, 5), Sample(2, 50)])
            owner.execute("CREATE SEQUENCE counter")
        yield where, database
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
        admin.execute("DROP DATABASE somebody_elses WITH (FORCE)")


def _as_reader(where: str, database: str, password: str = PASSWORDS[READER]) -> Connection:
    return psycopg.connect(
        where, dbname=database, user=READER, password=password, passfile="", autocommit=True
    )


@pytest.fixture
def reader(prepared) -> Iterator[Connection]:
    """The reader's connection, made writable as far as a session can do that by itself."""
    with _as_reader(*prepared) as connection:
        connection.execute("SET default_transaction_read_only = off; SET statement_timeout = 0")
        yield connection


READS = [
    "SELECT * FROM run",
    "SELECT * FROM run_summary",
    "SELECT * FROM request ORDER BY time DESC LIMIT 10",
    "SELECT * FROM latency('2026-03-01 12:00:00.25Z', '2026-03-01Z', '2026-03-02Z', 5)",
    "SELECT * FROM latency_parts('2026-03-01 12:00:00.25Z', '2026-03-01Z', '2026-03-02Z', 5)",
    "SELECT * FROM users_over_time('2026-03-01 12:00:00.25Z', '2026-03-01Z', '2026-03-02Z', 5)",
    "SELECT * FROM testrun, user_count, events, journal, run_worker, setting, schema_version",
    "SELECT setting_of('objective_ms'), run_text(now())",
]


@pytest.mark.parametrize("query", READS)
def test_the_reader_reads(reader, query):
    """Everything that dashboards ask for is answered."""
    reader.execute(query)


DENIED = psycopg.errors.InsufficientPrivilege

ATTACKS = [
    # the data
    "INSERT INTO events VALUES (now(), 'x')",
    "UPDATE testrun SET description = 'x'",
    "DELETE FROM request",
    "TRUNCATE histogram_closed",
    "MERGE INTO setting s USING testrun t ON false WHEN NOT MATCHED THEN INSERT VALUES ('x', 1)",
    "SELECT * FROM testrun FOR UPDATE",
    "BEGIN; LOCK TABLE request IN ROW EXCLUSIVE MODE",
    "WITH gone AS (DELETE FROM events RETURNING *) SELECT * FROM gone",
    "COPY events FROM STDIN",
    "SELECT nextval('counter')",
    "SELECT setval('counter', 1)",
    # our own functions that write
    "SELECT refresh_summary(id) FROM testrun",
    "SELECT close_run(id, now()) FROM testrun",
    "SELECT compact(id, '-infinity', 'infinity') FROM testrun",
    # the schema
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE mine (a int)",
    "SELECT 1 AS a INTO TEMP mine",
    "CREATE TEMP VIEW mine AS SELECT 1",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION vector",
    "CREATE PUBLICATION mine",
    "ALTER TABLE testrun ADD COLUMN a int",
    "ALTER FUNCTION run_text(timestamptz) COST 1",
    "DROP VIEW run",
    "COMMENT ON TABLE request IS 'x'",
    "DO 'BEGIN PERFORM 1; END'",
    # other roles, other databases
    f"SET ROLE {OWNER}",
    "SET ROLE postgres",
    f"SET SESSION AUTHORIZATION {OWNER}",
    f"ALTER ROLE {READER} SUPERUSER",
    f"ALTER ROLE {READER} CREATEDB",
    f"ALTER ROLE {READER} CONNECTION LIMIT -1",
    f"ALTER ROLE {OWNER} PASSWORD 'x'",
    f"ALTER ROLE {OWNER} SET work_mem = '1GB'",
    f"GRANT {OWNER} TO {READER}",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT subconninfo FROM pg_subscription",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "SET temp_file_limit = -1",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "SELECT pg_reload_conf()",
    # files and programs
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY (SELECT 1) TO '/tmp/swarmscope_reader_was_here'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_ls_logdir()",
    "SELECT current_setting('data_directory')",
    "LOAD 'pgcrypto'",
    # large objects
    "SELECT lo_creat(-1)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lo_unlink(1)",
    "SELECT lo_open(1, 131072)",
    # other sessions
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1, 2)",
    "SELECT pg_notify('x', 'y')",
    # the log of changes
    "SELECT pg_logical_emit_message(false, 'x', 'y')",
    "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_current_xact_id()",
    "SELECT txid_current()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('x')",
    "CHECKPOINT",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused(reader, attack):
    """Nothing but reading is allowed, whatever the session sets for itself."""
    absent = (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported)
    with pytest.raises((DENIED, *absent) if "EXTENSION" in attack else DENIED):
        reader.execute(attack)


def test_rights_cannot_be_passed_on(reader):
    """A grant of what the reader may do gives nobody anything."""
    reader.execute("GRANT SELECT ON request TO PUBLIC")

    query = "SELECT has_table_privilege('pg_monitor', 'request', 'SELECT')"
    assert reader.execute(query).fetchone() == (False,)


def test_no_other_database_lets_the_reader_in(prepared):
    """Neither the server's own databases nor somebody else's can be connected to."""
    where, _ = prepared
    for database in ("postgres", "template1", "somebody_elses"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            _as_reader(where, database)


def test_writing_is_off_before_rights_are_asked(prepared):
    """A session begins read-only and with a statement timeout, against accidents."""
    with _as_reader(*prepared) as reader:
        shown = {
            name: reader.execute(f"SHOW {name}").fetchall()[0][0]
            for name in ("default_transaction_read_only", "statement_timeout", "temp_file_limit")
        }

    assert shown == {
        "default_transaction_read_only": "on",
        "statement_timeout": "30s",
        "temp_file_limit": "1GB",
    }


def test_connections_are_limited(prepared):
    """Many viewers at once are refused before they starve the shipper."""
    with ExitStack() as stack:
        for _ in range(roles.READER_CONNECTIONS):
            stack.enter_context(_as_reader(*prepared))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            _as_reader(*prepared)


def test_what_a_reader_may_do_to_itself_is_undone_by_the_next_start(prepared):
    """Its password and defaults are its own by PostgreSQL's rules; each start sets them anew."""
    where, database = prepared
    with _as_reader(where, database) as reader:
        reader.execute("SET default_transaction_read_only = off")
        reader.execute(f"ALTER ROLE {READER} PASSWORD 'mine'")
        reader.execute(f"ALTER ROLE {READER} SET statement_timeout = 0")
        reader.execute(f"ALTER ROLE {READER} IN DATABASE {database} SET search_path = pg_temp")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _as_reader(where, database)

    with psycopg.connect(where, autocommit=True) as admin:
        prepare(admin, PASSWORDS, database)

    with _as_reader(where, database) as reader:
        assert reader.execute("SHOW statement_timeout").fetchone() == ("30s",)
        assert reader.execute("SELECT count(*) FROM run").fetchone() == (1,)


def test_everybody_else_is_locked_out(prepared):
    """A role that nobody gave anything cannot even connect."""
    where, database = prepared
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(where, dbname=database, user="stranger", password="x", passfile="")
        finally:
            admin.execute("DROP ROLE stranger")


def test_the_owner_owns_the_schema_and_nothing_more(prepared):
    """The role that writes is no superuser, makes no roles or databases, reads no files."""
    where, database = prepared
    with (
        psycopg.connect(where, autocommit=True) as admin,
        connect_as_owner(admin, PASSWORDS[OWNER], database) as owner,
    ):
        for attack in (
            "CREATE ROLE x",
            "CREATE DATABASE x",
            "SELECT pg_read_file('PG_VERSION')",
            "COPY (SELECT 1) TO PROGRAM 'id'",
            "SET ROLE postgres",
        ):
            with pytest.raises(DENIED):
                owner.execute(attack)
        tables = owner.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname='public'"
        )
        assert tables.fetchall() == [(OWNER,)]


def test_passwords_never_travel_in_clear(prepared):
    """What the server could log of setting a password is a SCRAM verifier."""
    where, database = prepared
    with psycopg.connect(where, autocommit=True) as admin:
        prepare(admin, PASSWORDS, database)
        stored = admin.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = ANY (%s)", [[OWNER, READER]]
        ).fetchall()

    assert all(verifier.startswith("SCRAM-SHA-256$") for (verifier,) in stored)
    assert len(stored) == 2


def test_a_superusers_database_is_taken_over(prepared):
    """Tables that a superuser made for locust-plugins become the owner's, with their rows."""
    where, _ = prepared
    database = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}")
        try:
            with psycopg.connect(where, dbname=database) as inside:
                inside.execute(
                    "CREATE TABLE events (time timestamptz NOT NULL, text text NOT NULL)"
                )
                inside.execute("INSERT INTO events VALUES (now(), 'before')")
            prepare(admin, PASSWORDS, database)
            with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
                migrate(owner)
                rows = owner.execute("SELECT text, run_id, kind FROM events").fetchall()
            assert rows == [("before", None, None)]
        finally:
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
