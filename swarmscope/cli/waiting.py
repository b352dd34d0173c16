"""Waiting for a run to be complete, for so long and no longer; the wait says what it is for."""

from __future__ import annotations

import time
from typing import Any

import click
import psycopg

from swarmscope.formatting import WAITING
from swarmscope.runs.model import Run

POLL_S = 0.5
TELLING_S = 5.0


class Patience:
    """How much longer to wait."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._told = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._deadline

    def wait(self, reason: str) -> None:
        """Wait a moment; every few seconds say for what."""
        if time.monotonic() >= self._told + TELLING_S:
            self._told = time.monotonic()
            left = max(self._deadline - self._told, 0.0)
            click.echo(f"{WAITING}{reason}; {left:.0f} s at most", err=True)
        time.sleep(POLL_S)


def to_come(connection: psycopg.Connection[Any], run: Run) -> str:
    """Return in words what of *run* may still be delivered; '' when nothing is.

    Of a worker that was killed nothing more comes once its journal has been read to the end, though
    the run will never be complete.
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
