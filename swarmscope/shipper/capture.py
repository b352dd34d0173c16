"""Stores the services' series from Prometheus once a run is over: the shipper's second thread.

Neither the swarm nor the delivery of samples waits for it. What Prometheus did not answer is asked
again while a shipper runs, and by the next shippers. It also joins the windows of running runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import psycopg

from swarmscope.formatting import first_line
from swarmscope.runs import captures, prometheus, server_series
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema.maintenance import compact_running

logger = logging.getLogger(__name__)

RETRY_S = 60.0
FOLLOW_S = 10.0  # how often the services of running runs are found: each may call another one
MAX_RUNS = 20  # in one go, the latest first
MAX_HOLD_S = 20.0  # how long a shipper stays alive for it
MAX_SETTLING_S = 10.0  # clocks may differ: a run's end is by its master's


class CaptureThread:
    """Captures in its own thread, from the Prometheus that a run's options name, else *url*."""

    def __init__(self, database: str, parameters: Mapping[str, Any], url: str | None) -> None:
        self._database, self._parameters, self._url = database, parameters, url
        self._wake = threading.Event()
        self._requested = self._done = 0
        self._hold_until = 0.0
        self._captured = 0.0  # when captures were last tried (monotonic)
        self._joined = datetime.min.replace(tzinfo=UTC)  # windows that began before it
        self._logged: set[str] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Request a capture: runs may have ended."""
        self._requested += 1
        self._hold_until = time.monotonic() + MAX_HOLD_S
        self._wake.set()

    def close(self) -> None:
        """End the thread after the capture that is under way; a process that ends need not."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def is_busy(self) -> bool:
        """Return whether a requested capture is still worth waiting for."""
        return self._requested > self._done and time.monotonic() < self._hold_until

    def _work(self) -> None:
        while True:
            self._wake.wait(min(FOLLOW_S, RETRY_S))
            if self._closed:
                return
            self._wake.clear()
            requested = self._requested
            is_asked = requested > self._done
            is_due = bool(requested) and time.monotonic() > self._captured + RETRY_S
            try:
                with psycopg.connect(self._database, autocommit=True, **self._parameters) as to:
                    self._follow(to)
                    if is_asked or is_due:
                        self._captured = time.monotonic()
                        self._log(self._capture_all(to))
                    self._joined = compact_running(to, self._joined)
            except psycopg.Error as error:
                if is_asked or is_due:
                    self._log([error])
            self._done = requested

    def _follow(self, connection: Connection) -> None:
        """Store which services the running runs have; what Prometheus does not answer can wait."""
        for run, url in self._located(connection, running=True):
            targets = captures.targets(connection, run.run_id)
            with suppress(prometheus.Unavailable):
                found = server_series.find(url, run.run_id, datetime.now(UTC), targets)
                captures.store_services(connection, run.run_id, found)

    def _capture_all(self, connection: Connection) -> list[Exception]:
        """Capture all that can be; return an error per Prometheus or run of which it cannot."""
        failed: dict[str, Exception] = {}
        for run, url in self._located(connection):
            if url in failed or run.ended is None:
                continue
            _settle(run.ended)
            targets = captures.targets(connection, run.run_id)
            try:
                levels = captures.levels(connection, run.run_id, run.ended)
                capture = server_series.read(url, run.run_id, run.ended, targets, levels)
            except prometheus.Unavailable as error:
                failed[url] = error
                continue
            try:
                known = captures.with_database(connection, run.run_id, capture, run.ended)
                captures.store(connection, run.run_id, known)
            except psycopg.Error as error:
                if connection.broken:
                    raise
                failed[str(run.run_id)] = error  # of this run: the others can be stored
        return list(failed.values())

    def _located(
        self, connection: Connection, running: bool = False
    ) -> Iterator[tuple[captures.UncapturedRun, str]]:
        """Yield runs without series whose Prometheus is known, and its URL."""
        runs = captures.uncaptured(connection, running)
        located = ((run, captures.locate(run.url, run.host, self._url)) for run in runs)
        return islice(((run, url) for run, url in located if url), MAX_RUNS)

    def _log(self, errors: Iterable[Exception]) -> None:
        reasons = set(map(first_line, errors))
        for reason in sorted(reasons - self._logged):
            logger.warning("Cannot store the services' series with their runs: %s", reason)
        self._logged = reasons


def _settle(ended: datetime) -> None:
    """Wait until Prometheus has scraped the run's last seconds."""
    left_s = (server_series.settled(ended) - datetime.now(UTC)).total_seconds()
    time.sleep(min(max(0.0, left_s), MAX_SETTLING_S))
