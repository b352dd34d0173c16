"""The roles of a server of our own: what the reader may do, and what each start takes back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from support import attacks
from support.attacks import PASSWORDS

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import roles
from swarmscope.runs.schema.migrations import migrate
from swarmscope.runs.schema.roles import OWNER, READER, connect_as_owner, prepare


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
    "SELECT * FROM testrun, summary(id)",
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


@pytest.mark.parametrize("attack", attacks.BY_READER)
def test_an_attack_is_refused(reader, attack):
    """Nothing but reading is allowed, whatever the session sets for itself."""
    assert attacks.refused(reader, attack)


def test_the_reader_reads_what_migrations_made_and_nothing_else(prepared, owner):
    """Each of their tables and views, but no table that somebody put beside them."""
    owner.execute("CREATE TABLE somebodys (secret text)")
    migrate(owner)

    hidden = owner.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'm') AND NOT has_table_privilege(%s, oid, 'SELECT')",
        [READER],
    ).fetchall()

    owner.execute("DROP TABLE somebodys")
    assert hidden == [("somebodys",)]


def test_notifications_fill_no_disk(prepared):
    """NOTIFY is everybody's; its queue, up to 8 GB by default, is bounded by the server."""
    with psycopg.connect(prepared[0]) as admin:
        pages = admin.execute("SELECT current_setting('max_notify_queue_pages')").fetchone()

    assert pages == ("1024",)


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


def test_what_an_owner_may_do_to_itself_is_undone_by_the_next_start(prepared):
    """Or one statement would end every start in its migration, and every batch of samples."""
    where, database = prepared
    with psycopg.connect(where, autocommit=True) as admin:
        with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
            owner.execute(f"ALTER ROLE {OWNER} IN DATABASE {database} SET search_path = pg_temp")
            owner.execute(f"ALTER ROLE {OWNER} SET default_transaction_read_only = on")

        prepare(admin, PASSWORDS, database)

        with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
            migrate(owner)
            assert owner.execute("DELETE FROM events WHERE false").rowcount == 0


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


def test_the_owner_owns_the_tables(owner):
    """All of them, and not the database."""
    tables = owner.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname='public'")
    database = owner.execute(
        "SELECT rolsuper FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba"
        " WHERE datname = current_database()"
    )

    assert tables.fetchall() == [(OWNER,)]
    assert database.fetchall() == [(True,)]


@pytest.mark.parametrize("role", [OWNER, READER])
def test_memberships_are_taken_away(prepared, role):
    """Who once was a superuser may have joined a group that reads files or runs programs."""
    where, database = prepared
    memberships = (
        "SELECT m.rolname, g.rolname FROM pg_auth_members JOIN pg_roles m ON m.oid = member"
        " JOIN pg_roles g ON g.oid = roleid WHERE m.rolname = ANY (%s)"
    )
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute(f"GRANT pg_execute_server_program, pg_read_server_files TO {role}")
        admin.execute(f"ALTER ROLE {role} SUPERUSER CREATEROLE BYPASSRLS")

        prepare(admin, PASSWORDS, database)

        left = admin.execute(memberships, [[OWNER, READER]]).fetchall()
        rights = admin.execute(
            "SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = %s", [role]
        )
        assert left == [(OWNER, READER)]  # ends the reader's sessions by it
        assert rights.fetchall() == [(False, False, False)]


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
