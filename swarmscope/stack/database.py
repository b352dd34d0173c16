"""Makes the runs database of the native stack ready for its two users: swarm and dashboards."""

from __future__ import annotations

import psycopg
from psycopg import sql

from swarmscope.stack.home import DATABASE, Home
from swarmscope.stack.postgres import SUPERUSER, Cluster
from swarmscope.stack.secrets import OWNER

READER = "swarmscope_reader"


def superuser_dsn(cluster: Cluster, dbname: str = "postgres") -> str:
    """Return the superuser's connection string; the password stays in its file."""
    return psycopg.conninfo.make_conninfo(
        host="127.0.0.1",
        port=cluster.port,
        user=SUPERUSER,
        dbname=dbname,
        passfile=str(cluster.passfile),
        connect_timeout=2,
    )


def prepare(cluster: Cluster, home: Home) -> None:
    """Bring roles, database and schema to what this version needs; harmless when repeated."""
    with psycopg.connect(superuser_dsn(cluster), autocommit=True) as connection:
        for role, secret in ((OWNER, "owner_password"), (READER, "reader_password")):
            _ensure_role(connection, role, home.secret(secret))
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not connection.execute(query, [DATABASE]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], role: str, password: str
) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = "ALTER" if known else "CREATE"
    connection.execute(
        sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(password)
        )
    )
