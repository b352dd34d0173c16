"""Runs databases of a test's or a module's own."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from support.waiting import free_port, poll_until
from swarmscope.runs.schema import roles
from swarmscope.runs.schema.migrations import migrate
from swarmscope.stack.postgres import SUPERUSER, Cluster

# Its data need not survive the machine, and may be in memory.
FAST = "fsync = off\nfull_page_writes = off\nmax_wal_size = 128MB\n"


@contextlib.contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """Run a new PostgreSQL server in *directory* until the block ends."""
    cluster = Cluster(directory, free_port())
    cluster.initialise()
    with (cluster.data / "postgresql.conf").open("a") as settings:
        settings.write(FAST)
    server = cluster.start(directory / "log")
    try:
        poll_until(lambda: _accepts_connections(cluster), "PostgreSQL to answer")
        yield cluster
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _accepts_connections(cluster: Cluster) -> bool:
    try:
        psycopg.connect(superuser_dsn(cluster)).close()
    except psycopg.OperationalError:
        return False
    return True


def superuser_dsn(cluster: Cluster, name: str = "postgres") -> str:
    """Return the connection string of a cluster's superuser."""
    return (
        f"host=127.0.0.1 port={cluster.port} user={SUPERUSER} dbname={name} "
        f"passfile={cluster.passfile}"
    )


@cache
def _template(cluster: Cluster) -> str:
    """Return the name of a migrated database, made once in each cluster: copies are cheaper."""
    name = "migrated"
    with psycopg.connect(superuser_dsn(cluster), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(superuser_dsn(cluster, name), autocommit=True) as connection:
        migrate(connection)
    return name


@contextlib.contextmanager
def fresh_runs_database(cluster: Cluster) -> Iterator[str]:
    """Create a migrated database; yields its superuser's connection string."""
    with fresh_database(cluster, _template(cluster)) as database:
        yield database


@contextlib.contextmanager
def fresh_database(cluster: Cluster, template: str = "template1") -> Iterator[str]:
    """Create a database, a copy of *template*; yields its superuser's connection string."""
    name = f"test_{secrets.token_hex(6)}"
    _administer(cluster, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield superuser_dsn(cluster, name)
    _administer(cluster, f"DROP DATABASE {name} WITH (FORCE)")


_kept: dict[str, psycopg.Connection[Any]] = {}  # by connection string


def _administer(cluster: Cluster, statement: str) -> None:
    """Execute *statement* as superuser, on a connection that is kept until a server restarts."""
    where = superuser_dsn(cluster)
    with contextlib.suppress(KeyError, psycopg.OperationalError):
        _kept[where].execute(statement)
        return
    _kept[where] = psycopg.connect(where, autocommit=True)
    _kept[where].execute(statement)


@dataclass(frozen=True)
class Database:
    """A runs database of one's own in a shared cluster, and how its two roles reach it."""

    port: int
    name: str
    owner: str
    reader: str
    reader_password: str


@contextlib.contextmanager
def database_of_roles(cluster: Cluster) -> Iterator[Database]:
    """Make a runs database, with roles and schema as the stack makes them, until the block ends."""
    name = f"runs_{secrets.token_hex(6)}"
    passwords = {role: secrets.token_hex(24) for role in (roles.OWNER, roles.READER)}
    where = {"host": "127.0.0.1", "port": cluster.port}
    with psycopg.connect(superuser_dsn(cluster), autocommit=True) as admin:
        roles.prepare(admin, passwords, name)
        with roles.connect_as_owner(admin, passwords[roles.OWNER], name) as owner:
            migrate(owner)
        as_role = {
            role: make_conninfo(user=role, password=password, dbname=name, **where)
            for role, password in passwords.items()
        }
        yield Database(
            cluster.port, name, as_role[roles.OWNER], as_role[roles.READER], passwords[roles.READER]
        )
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def libpq_environment(database: str) -> dict[str, str]:
    """Return the ``PG*`` variables that stand for a connection string."""
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "dbname": "PGDATABASE",
        "passfile": "PGPASSFILE",
        "password": "PGPASSWORD",
    }
    return {names[key]: str(value) for key, value in conninfo_to_dict(database).items()}
