"""A migrated runs database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from swarmscope.runs.migrations import migrate


@pytest.fixture
def connection(empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect, in autocommit mode, to a new database with the newest schema."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        migrate(connection)
        yield connection
