"""Roles on our own server: an owner that writes, a reader that can only read.

Grafana allows anonymous viewers, and a viewer can send arbitrary SQL, so only the reader's rights
protect the data. docs/architecture.md says what these allow, and how that is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import conninfo, sql

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import grants, one_at_a_time, reader_sessions, timescale

OWNER = "swarmscope"
READER = reader_sessions.READER
DATABASE = "swarmscope"

READER_CONNECTIONS = 20
READER_SETTINGS = {
    "default_transaction_read_only": "on",  # a session may undo this; rights do not depend on it
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",  # compiling would take longer than our queries
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "temp_file_limit": "1GB",  # per session; only a superuser can undo this one
    "work_mem": "16MB",
}


def prepare(admin: Connection, passwords: Mapping[str, str], database: str = DATABASE) -> None:
    """Create roles and database, and set all rights.

    *admin* is a superuser's connection in autocommit mode, to any database of a server that is
    swarmscope's own: roles without an explicit grant lose the right to connect. *passwords* has one
    for `OWNER` and one for `READER`; they are set each time, and sent as SCRAM verifiers so that no
    server log can contain them. Harmless when repeated.
    """
    _distrust(admin)
    admin.execute("SET client_encoding TO 'UTF8'")  # a server without a locale has no encoding
    with one_at_a_time(admin):
        for role in (OWNER, READER):
            _ensure_role(admin, role, passwords[role])
        _leave_groups(admin)
        _ensure_database(admin, database)
        _close_databases(admin, database)
        for role in (OWNER, READER):
            _reset_defaults(admin, role, database)
        _limit_reader(admin)
        with _connect(admin, dbname=database) as inside:
            _distrust(inside)
            timescale.install(inside)
            _own_schema(inside)
            grants.restrict(inside, OWNER, READER)


def connect_as_owner(admin: Connection, password: str, database: str = DATABASE) -> Connection:
    """Connect to the server of *admin* as the role that owns the runs database's tables."""
    return _connect(admin, dbname=database, user=OWNER, password=password)


def _connect(connection: Connection, **changes: str) -> Connection:
    """Connect as *connection* does, except for *changes*."""
    parameters = {"password": connection.info.password, "client_encoding": "UTF8", **changes}
    where = conninfo.make_conninfo(connection.info.dsn, **parameters)
    return psycopg.connect(where, autocommit=True)


def _distrust(superuser: Connection) -> None:
    """Keep a superuser's session from running code that the owner put into the database.

    A function or operator in the schema `public` would replace one of PostgreSQL's if its arguments
    matched better.
    """
    superuser.execute("SET search_path TO pg_catalog, pg_temp")


def _ensure_role(admin: Connection, role: str, password: str) -> None:
    exists = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if not exists:
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    admin.execute(
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
            " PASSWORD {}"
        ).format(sql.Identifier(role), sql.Literal(verifier.decode()))
    )


def _leave_groups(admin: Connection) -> None:
    """Revoke all memberships of the two roles; the owner may only end the reader's sessions."""
    groups = admin.execute(
        "SELECT g.rolname, m.rolname, r.rolname FROM pg_auth_members a"
        " JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member"
        " JOIN pg_roles r ON r.oid = a.grantor"
        " WHERE m.rolname = ANY (%s) AND NOT (g.rolname = %s AND m.rolname = %s)",
        [[OWNER, READER], READER, OWNER],
    )
    for names in groups.fetchall():
        admin.execute(
            sql.SQL("REVOKE {} FROM {} GRANTED BY {} CASCADE").format(*map(sql.Identifier, names))
        )
    signals = " WITH INHERIT TRUE, SET FALSE" if admin.info.server_version >= 16_00_00 else ""
    admin.execute(
        sql.SQL("GRANT {} TO {}" + signals).format(sql.Identifier(READER), sql.Identifier(OWNER))
    )


def _ensure_database(admin: Connection, database: str) -> None:
    """Create the database, owned by a superuser: an owner may change every session's defaults."""
    name = sql.Identifier(database)
    exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
    wanted = (
        "ALTER DATABASE {} OWNER TO CURRENT_USER"
        if exists
        else "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
    )
    admin.execute(sql.SQL(wanted).format(name))
    admin.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))


def _close_databases(admin: Connection, database: str) -> None:
    for (name,) in admin.execute("SELECT datname FROM pg_database").fetchall():
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    for role, rights in ((OWNER, "CONNECT, TEMPORARY"), (READER, "CONNECT")):
        names = (sql.Identifier(database), sql.Identifier(role))
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(*names))
        admin.execute(sql.SQL("GRANT " + rights + " ON DATABASE {} TO {}").format(*names))


def _reset_defaults(admin: Connection, role: str, database: str) -> None:
    """Reset the defaults of *role*'s sessions, which the role itself may have changed.

    A session that starts read-only, or with another schema first, would fail in each migration.
    """
    names = sql.Identifier(role), sql.Identifier(database)
    admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(names[0]))
    admin.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(*names))


def _limit_reader(admin: Connection) -> None:
    reader = sql.Identifier(READER)
    admin.execute(
        sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(reader, sql.Literal(READER_CONNECTIONS))
    )
    for name, value in READER_SETTINGS.items():
        admin.execute(
            sql.SQL("ALTER ROLE {} SET {} TO {}").format(
                reader, sql.Identifier(name), sql.Literal(value)
            )
        )
    admin.execute(sql.SQL("ALTER ROLE {} SET jit TO off").format(sql.Identifier(OWNER)))


def _own_schema(inside: Connection) -> None:
    """Give the owner the schema, and the tables that a superuser created there before."""
    owner = sql.Identifier(OWNER)
    inside.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    inside.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owner))
    foreign = inside.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner <> %s"
        " AND tablename IN ('testrun', 'request', 'user_count', 'events')",
        [OWNER],
    )
    for (table,) in foreign.fetchall():
        inside.execute(
            sql.SQL("ALTER TABLE public.{} OWNER TO {}").format(sql.Identifier(table), owner)
        )
