"""Waiting for a run to be complete, within a time limit; progress lines say for what."""

from __future__ import annotations

import time

import click

from swarmscope.formatting import WAITING
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run

POLL_S = 0.5
PROGRESS_S = 5.0


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
