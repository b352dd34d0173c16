"""Runs databases of a test's or a module's own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import psycopg

from swarmscope.runs.schema.migrations import migrate
from swarmscope.stack.postgres import SUPERUSER, Cluster


def superuser_dsn(cluster: Cluster, name: str = "postgres") -> str:
    """Return the connection string of a cluster's superuser."""
    return (
        f"host=127.0.0.1 port={cluster.port} user={SUPERUSER} dbname={name} "
        f"passfile={cluster.passfile}"
    )


def _template(admin: psycopg.Connection, cluster: Cluster) -> str:
    """Return the name of a migrated database, made once in each cluster: copies are cheaper."""
    name = "migrated_template"
    if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        admin.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(superuser_dsn(cluster, name), autocommit=True) as connection:
            migrate(connection)
    return name


@contextlib.contextmanager
def fresh_runs_database(cluster: Cluster) -> Iterator[str]:
    """Create a migrated database; yields its superuser's connection string."""
    with psycopg.connect(superuser_dsn(cluster), autocommit=True) as admin:
        template = _template(admin, cluster)
    with fresh_database(cluster, template) as database:
        yield database


@contextlib.contextmanager
def fresh_database(cluster: Cluster, template: str = "template1") -> Iterator[str]:
    """Create a database, a copy of *template*; yields its superuser's connection string."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(superuser_dsn(cluster), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield superuser_dsn(cluster, name)
    with psycopg.connect(
        superuser_dsn(cluster), autocommit=True
    ) as admin:  # again: tests restart it
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
