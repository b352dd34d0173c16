"""Histograms of the components of service time, and of the numbers of calls.

Shippers store no zeros: of *requests*, only *used* have a value; the others count as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from swarmscope.runs.connection import Connection
from swarmscope.runs.selection import Endpoint


@dataclass(frozen=True)
class ComponentWindow:
    """A row of SQL's `component_windows`; in ms, of `db_calls` and the like in numbers."""

    time: datetime
    name: str
    request_type: str
    part: str
    requests: int
    used: int
    total: float
    max: float
    buckets: list[int] | None
    cumulative: list[float] | None

    @property
    def endpoint(self) -> Endpoint:
        """Its name and request type."""
        return self.name, self.request_type


def windows(
    connection: Connection,
    run_id: datetime,
    since: datetime,
    until: datetime,
    width_s: int | None = None,
    names: Sequence[str] | None = None,
) -> list[ComponentWindow]:
    """Return the windows of all endpoints, or of *names*; without *width_s*, one of each."""
    query = "SELECT * FROM component_windows(%s, %s, %s, %s, %s)"
    values = [run_id, since, until, width_s, None if names is None else list(names)]
    with connection.cursor(row_factory=class_row(ComponentWindow)) as cursor:
        return cursor.execute(query, values).fetchall()
