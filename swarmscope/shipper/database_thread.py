"""Samples the app's database every second of a run: a thread of the shipper.

Neither the swarm nor the delivery of samples waits for it; while it fails, a run only lacks these
figures.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from swarmscope.formatting import first_line
from swarmscope.journal.segments import segments
from swarmscope.runs.connection import Connection
from swarmscope.runs.resources import database
from swarmscope.shipper.app_database import AppDatabase, NotPostgreSQL, safe_reason
from swarmscope.shipper.database_windows import LockWindow, StatementTexts, StatementWindow

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
RETRY_S = 10.0
CLOSING_S = 6.0


class DatabaseThread:
    """Samples the database at *url* while the runs of a journal *directory* are running.

    What it finds goes to the runs database (*runs*, a connection string, and *parameters*).
    """

    def __init__(self, directory: Path, runs: str, parameters: Mapping[str, Any], url: str) -> None:
        self._directory, self._url = directory, url
        self._runs, self._parameters = runs, parameters
        self._connection: Connection | None = None
        self._sampling: _Sampling | None = None
        self._retry_at = 0.0  # monotonic
        self._logged: set[str] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, which stores what it has; wait for that, but not for long."""
        self._closed.set()
        self._thread.join(CLOSING_S)

    def _work(self) -> None:
        due = time.monotonic()
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            due = max(due + INTERVAL_S, time.monotonic())
            self._guarded(self._tick)
        self._guarded(self._end)

    def _guarded(self, step: Callable[[Connection], None]) -> None:
        """Take a *step* on the runs database, whose failures the delivery logs."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._runs, autocommit=True, **self._parameters)
            step(self._connection)
        except psycopg.Error as error:
            logger.debug("Cannot store samples of the app's database: %s", first_line(error))
            if self._connection:
                self._connection.close()
            self._closed.wait(RETRY_S)

    def _tick(self, connection: Connection) -> None:
        run_id = self._running(connection)
        if self._sampling and self._sampling.run_id != run_id:
            self._end(connection)
        if run_id is None or time.monotonic() < self._retry_at:
            return
        try:
            self._sampling = self._sampling or _Sampling(run_id, AppDatabase(self._url))
            rows = self._sampling.take()
        except (psycopg.Error, NotPostgreSQL) as error:
            self._complain(f"Cannot sample the app's database: {safe_reason(error, self._url)}")
            self._forget()
            self._retry_at = time.monotonic() + RETRY_S
            return
        for of_one_kind in rows:
            database.store(connection, run_id, of_one_kind)
        if self._sampling.app.has_hidden_sessions and not self._sampling.noted:
            self._sampling.noted = True
            self._note_hidden(connection, run_id, self._sampling.app)

    def _running(self, connection: Connection) -> datetime | None:
        """Return the run that is running and led from here, the latest if there are several."""
        journals = list(segments(self._directory))
        found = connection.execute(
            "SELECT max(id) FROM testrun WHERE status = 'running'"
            " AND replace(journal_id::text, '-', '') = ANY (%s)",
            [journals],
        )
        return found.fetchall()[0][0] if journals else None

    def _end(self, connection: Connection) -> None:
        """Store what is left of the run that was sampled last."""
        if (sampling := self._sampling) is None:
            return
        try:
            rows = sampling.windows()
        except psycopg.Error as error:
            logger.debug("Lost the last statements of a run: %s", first_line(error))
            rows = []
        self._forget()
        for of_one_kind in rows:
            database.store(connection, sampling.run_id, of_one_kind)

    def _forget(self) -> None:
        if self._sampling:
            self._sampling.app.close()
        self._sampling = None

    def _note_hidden(self, connection: Connection, run_id: datetime, app: AppDatabase) -> None:
        """Log why activities are unknown, and note it in the run, once."""
        text = (
            f"What the sessions of database {app.name} wait for is not known: role {app.role} may"
            f' not see it. GRANT pg_monitor TO "{app.role}" lets it'
        )
        self._complain(text)
        connection.execute(
            "INSERT INTO events (time, text, run_id, kind) SELECT now(), %(text)s, %(run)s, 'note'"
            " WHERE NOT EXISTS (SELECT FROM events WHERE run_id = %(run)s AND text = %(text)s)",
            {"text": text, "run": run_id},
        )

    def _complain(self, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            logger.warning("%s", text)


class _Sampling:
    """The samples of one run, in its windows."""

    def __init__(self, run_id: datetime, app: AppDatabase) -> None:
        texts = StatementTexts()
        self.run_id, self.app = run_id, app
        self.noted = False
        self._locks, self._statements = LockWindow(texts), StatementWindow(texts, app)
        self._closes = time.monotonic() + database.WINDOW_S

    def take(self) -> list[database.Rows]:
        """Return a sample and, if a window closes with it, what was in that."""
        sample, blocked = self.app.sample()
        self._locks.add(blocked)
        rows: list[database.Rows] = [[sample]]
        if time.monotonic() >= self._closes:
            self._closes = time.monotonic() + database.WINDOW_S
            rows += self.windows()
        return rows

    def windows(self) -> list[database.Rows]:
        """Return what the open windows hold, and start over."""
        now = datetime.now(UTC)
        return [self._locks.rows(now), self._statements.rows(now)]
