"""The type of a connection to the runs database, and its snapshots."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

Connection = psycopg.Connection[Any]


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Have all queries of the context see one state of the database, and change nothing.

    In a transaction that has begun, they see what that sees.
    """
    is_idle = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction():
        if is_idle:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
