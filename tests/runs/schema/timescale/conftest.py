"""One TimescaleDB server for these files, and a database in it that both roles reach."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from support.timescale import connection_string, timescale_database, timescale_server

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import timescale


@pytest.fixture(scope="package")
def superuser() -> Iterator[str]:
    """The connection string of a fresh server's superuser."""
    with timescale_server() as server:
        yield server


@pytest.fixture(scope="package")
def database(superuser) -> Iterator[str]:
    """A database that is prepared and migrated as a start does it."""
    with timescale_database(superuser) as name:
        yield name


@pytest.fixture
def owner(superuser, database) -> Iterator[Connection]:
    """The owner of the database, which holds no run."""
    with psycopg.connect(connection_string(superuser, database), autocommit=True) as owner:
        owner.execute("TRUNCATE testrun, request, run_worker, histogram_open, histogram_closed")
        yield owner


@pytest.fixture
def licensed(owner) -> Connection:
    """The owner, where the server has the edition that compresses."""
    if not timescale.licensed(owner):
        pytest.skip("no TimescaleDB of the licensed edition")
    return owner
