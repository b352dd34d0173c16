"""A PostgreSQL server that has just been started."""

from __future__ import annotations

import time

import psycopg

from swarmscope.runs.connection import Connection

START_S = 20.0


def connected(where: str) -> Connection:
    """Return a connection as soon as there can be one; raises OperationalError after `START_S`."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return psycopg.connect(where, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
