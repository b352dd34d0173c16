"""Locks: concurrent starts change a database one after the other, and all succeed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import psycopg

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import reader_sessions

Result = TypeVar("Result")

KEY = 0x5357524D  # "SWRM"
LOCK_TIMEOUT_S = 2
MAX_BLOCKING_READ = timedelta(seconds=30)  # how long a query of the reader may take
MAX_DEADLOCKS = 10
PAUSE_S = 0.1  # TimescaleDB refuses some locks without waiting


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    """Hold an advisory lock of *connection*'s database; the server frees it if we die."""
    connection.execute("SELECT pg_advisory_lock(%s)", [KEY])
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", [KEY])


def persist(
    connection: Connection,
    work: Callable[[], Result],
    max_seconds: float = math.inf,
    max_reading: timedelta = MAX_BLOCKING_READ,
) -> Result:
    """Return what *work* returns, called in a transaction of *connection*.

    The transaction is repeated after a deadlock, and after waiting too long for a lock; then
    readers with transactions older than *max_reading* are ended. Raises `LockNotAvailable` if no
    lock was available for *max_seconds*, `DeadlockDetected` after `MAX_DEADLOCKS`.
    """
    end = time.monotonic() + max_seconds
    deadlocks = 0
    while True:
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT_S}s'")
                return work()
        except psycopg.errors.DeadlockDetected:
            deadlocks += 1
            if deadlocks == MAX_DEADLOCKS:
                raise
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > end:
                raise
            reader_sessions.end_old_transactions(connection, max_reading)
        time.sleep(PAUSE_S)
