"""Ends old transactions of readers, which their own settings cannot prevent.

A session may undo each of its timeouts. An old snapshot keeps the server from removing dead rows,
of which every batch of samples creates some; an old lock blocks a start that changes a view, and
pruning.
"""

from __future__ import annotations

from datetime import timedelta

from swarmscope.runs.connection import Connection

READER = "swarmscope_reader"
MAX_TRANSACTION = timedelta(minutes=5)  # a dashboard's query ends within 30 s
CHECK_EVERY_S = 60.0


def end_old_transactions(connection: Connection, older_than: timedelta = MAX_TRANSACTION) -> int:
    """End the reader's sessions in this database with older transactions; return how many.

    Needs the rights of the role `READER`, which `runs.schema.roles` grants to the owner; without
    them it does nothing.
    """
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))"
        " FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid"
        " WHERE r.rolname = %s AND pg_has_role(r.oid, 'USAGE') AND datname = current_database()"
        " AND xact_start < clock_timestamp() - %s",
        [READER, older_than],
    ).fetchone()
    assert row
    return int(row[0])
