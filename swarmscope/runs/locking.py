"""Taking turns: several starts at once change a database one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

KEY = 0x5357524D  # "SWRM"


@contextmanager
def one_at_a_time(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold an advisory lock of *connection*'s database; the server frees it if we die."""
    connection.execute("SELECT pg_advisory_lock(%s)", [KEY])
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", [KEY])
