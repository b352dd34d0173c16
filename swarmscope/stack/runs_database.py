"""Prepares the native stack's runs database for Locust and the dashboards."""

from __future__ import annotations

import psycopg

from swarmscope.formatting import first_line
from swarmscope.runs.schema import maintenance, migrations, roles
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.postgres import SUPERUSER, Cluster

CONNECT_TIMEOUT_S = 10


def prepare(cluster: Cluster, home: Home) -> None:
    """Bring roles, database and schema to this version's; delete requests that are too old.

    Can be repeated. Raises `StackError` if the server refuses, or if the schema is newer.
    """
    passwords = {
        roles.OWNER: home.secret("owner_password"),
        roles.READER: home.secret("reader_password"),
    }
    try:
        with _superuser(cluster) as admin:
            roles.prepare(admin, passwords)
            with roles.connect_as_owner(admin, passwords[roles.OWNER]) as owner:
                migrations.migrate(owner)
                maintenance.prune(owner, maintenance.default_age(owner), maintenance.AT_START_S)
    except migrations.NewerSchema as error:
        raise StackError(str(error)) from error
    except psycopg.Error as error:
        raise StackError(f"cannot prepare the runs database: {first_line(error)}") from error


def _superuser(cluster: Cluster) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host="127.0.0.1",
        port=cluster.port,
        user=SUPERUSER,
        dbname="postgres",
        passfile=str(cluster.passfile),
        connect_timeout=CONNECT_TIMEOUT_S,
        autocommit=True,
    )
