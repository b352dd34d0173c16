"""Stores what Prometheus knows of the services once a run is over; the shipper's second thread.

Nothing waits for it: neither a swarm nor the delivery of samples, and a Prometheus that is away
costs some seconds of a thread. What could not be had is tried again while a shipper lives, and by
the next ones.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import psycopg

from swarmscope.formatting import first_line
from swarmscope.runs import captures, server_series

logger = logging.getLogger(__name__)

RETRY_S = 60.0
MOST_AT_ONCE = 20  # runs, the latest first
LONGEST_HOLD_S = 20.0  # how much longer a shipper lives for it
LONGEST_SETTLING_S = 10.0  # a run's end is by its master's clock


class Capturing:
    """Captures in its own thread, from the Prometheus that a run's options named, else *url*."""

    def __init__(self, database: str, parameters: Mapping[str, Any], url: str | None) -> None:
        self._database, self._parameters, self._url = database, parameters, url
        self._wake = threading.Event()
        self._asked = self._answered = 0
        self._hold_until = 0.0
        self._said: set[str] = set()
        threading.Thread(target=self._work, daemon=True).start()

    def look(self) -> None:
        """Say that runs may have ended."""
        self._asked += 1
        self._hold_until = time.monotonic() + LONGEST_HOLD_S
        self._wake.set()

    def busy(self) -> bool:
        """Return whether it is worth waiting for what was asked for."""
        return self._asked > self._answered and time.monotonic() < self._hold_until

    def _work(self) -> None:
        while True:
            again = self._asked and (self._said or self._url)
            self._wake.wait(RETRY_S if again else None)
            self._wake.clear()
            asked = self._asked
            try:
                self._complain(self._capture_all())
            except psycopg.Error as error:
                self._complain([error])
            self._answered = asked

    def _capture_all(self) -> list[Exception]:
        """Capture what can be had; return why the rest cannot, one error per Prometheus."""
        away: dict[str, Exception] = {}
        where = psycopg.connect(self._database, autocommit=True, **self._parameters)
        with where as connection:
            located = ((run, self._locate(run)) for run in captures.uncaptured(connection))
            asked = ((run, url) for run, url in located if url)
            for run, url in islice(asked, MOST_AT_ONCE):
                if url in away:
                    continue
                _settle(run.ended)
                try:
                    capture = server_series.read(url, run.run_id, run.ended)
                except server_series.Unavailable as error:
                    away[url] = error
                else:
                    captures.store(connection, run.run_id, capture)
        return list(away.values())

    def _locate(self, run: captures.UncapturedRun) -> str | None:
        """Return which Prometheus to ask about *run*; None where this process knows none.

        User info is not stored with a run: it is that of our own address, where both are the same.
        """
        if run.url is None or run.url == server_series.without_user_info(self._url):
            return self._url
        is_elsewhere = server_series.is_loopback(run.url) and run.host != socket.gethostname()
        return None if is_elsewhere else run.url

    def _complain(self, errors: Iterable[Exception]) -> None:
        reasons = set(map(first_line, errors))
        for reason in sorted(reasons - self._said):
            logger.warning("The services' own figures are not stored with their runs: %s", reason)
        self._said = reasons


def _settle(ended: datetime) -> None:
    """Wait until Prometheus has seen the run's last seconds."""
    left_s = (server_series.settled(ended) - datetime.now(UTC)).total_seconds()
    time.sleep(min(max(0.0, left_s), LONGEST_SETTLING_S))
