"""Joining what the workers of a finished run stored apart, so that reading costs no more with many.

Every figure is a sum over the rows of a window, so it is the same before, after and in between.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

SPAN = timedelta(minutes=2)  # of a run, to a transaction


def compact(connection: Connection, run_id: datetime | str) -> int:
    """Join the rows of each window of 10 s and 60 s of a run; return how many rows that made.

    Does nothing to a run of which more may come: it runs, or a worker has not delivered its end.
    *connection* is in autocommit mode; each two minutes of the run are a transaction, so this may
    be interrupted, repeated, and done by several at once.
    """
    joined = 0
    for since in spans(connection, run_id):
        row = connection.execute("SELECT compact(%s, %s, %s)", [run_id, since, since + SPAN])
        joined += row.fetchall()[0][0]
    return joined


def spans(connection: Connection, run_id: datetime | str) -> list[datetime]:
    """Return where the spans of a run that has ended begin: only those with windows in them."""
    found = connection.execute(
        "SELECT DISTINCT date_bin(%s, h.time, 'epoch') AS span"
        " FROM histogram_closed h JOIN testrun t ON t.id = h.run_id"
        " WHERE h.run_id = %s AND resolution = 60 AND part = 'total' AND name = ''"
        " AND status <> 'running' AND NOT EXISTS"
        "    (SELECT 1 FROM run_worker w WHERE w.run_id = t.id AND outcome IS NULL)"
        " ORDER BY span",
        [SPAN, run_id],
    ).fetchall()
    return [since for (since,) in found]
