"""Waiting for a run to be complete, within a time limit; progress lines say for what."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from swarmscope.cli._shared import reading
from swarmscope.formatting import WAITING
from swarmscope.home import locate_prometheus
from swarmscope.runs import captures, queries, server_series
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run

POLL_S = 0.5
PROGRESS_S = 5.0
STORED = timedelta(seconds=6)  # the shipper takes at most that long to store what Prometheus has


class Patience:
    """A time limit for waiting."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._printed = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._deadline

    def wait(self, reason: str) -> None:
        """Wait a moment; every few seconds print for what."""
        if time.monotonic() >= self._printed + PROGRESS_S:
            self._printed = time.monotonic()
            left = max(self._deadline - self._printed, 0.0)
            click.echo(f"{WAITING}{reason}, at most {left:.0f} s more", err=True)
        time.sleep(POLL_S)


Awaited = Callable[[Connection, Run], str]  # in words what may still come; '' for nothing


def settled(
    where: str | None, wanted: str, patience_s: float, awaited: Awaited, **statuses: int
) -> str:
    """Return the id of the run *wanted* once no more of it is *awaited*, or after *patience_s*.

    A run that has just ended may not be in the database yet, and the database may be down.
    *statuses* are those of `reading`. Without patience nothing is read.
    """
    if not patience_s:
        return wanted
    patience = Patience(patience_s)
    while True:
        is_late, reason = patience.is_over, "the runs database"
        try:
            with reading(where, **statuses) as connection:
                run = queries.find(connection, wanted)
                wanted = run.run  # `latest` stays the same run
                reason = awaited(connection, run)
            if is_late or not reason:
                return wanted
        except click.ClickException:
            if is_late:
                raise
        patience.wait(reason)


def to_come(connection: Connection, run: Run) -> str:
    """Return in words what of *run* may still be delivered; '' for nothing.

    A killed worker delivers nothing more once its journal has been read to the end, although the
    run will never be complete.
    """
    if run.complete:
        return ""
    if run.status == "running":
        return "the end of the run"
    query = """
        SELECT count(*) FROM run_worker w LEFT JOIN journal j ON j.id = w.journal_id
        WHERE w.run_id = %s AND w.stopped IS NULL
            AND NOT (w.outcome IS NOT DISTINCT FROM 'lost' AND coalesce(j.finished, false))
    """
    ((awaited,),) = connection.execute(query, [run.run_id]).fetchall()
    return f"the samples of {awaited} of {run.workers} workers" if awaited else ""


def capture_to_come(connection: Connection, run: Run) -> str:
    """Return what is missing: samples, or what the shipper stores of Prometheus's figures."""
    if awaited := to_come(connection, run):
        return awaited
    if run.ended is None or captures.stored(connection, run.run_id):
        return ""
    known = captures.prometheus_of(connection, run.run_id, locate_prometheus())
    is_late = datetime.now(UTC) > server_series.settled(run.ended) + STORED
    return "" if is_late or known is None else "Prometheus's last figures of the services"
