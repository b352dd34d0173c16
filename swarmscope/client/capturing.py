"""Stores what Prometheus knows of the services once a run is over; the shipper's second thread.

Nothing waits for it: neither a swarm nor the delivery of samples, and a Prometheus that is away
costs some seconds of a thread. What could not be had is tried again while a shipper lives, and by
the next ones.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg

from swarmscope.runs import captures, prometheus

logger = logging.getLogger(__name__)

RETRY_S = 60.0
LONGEST_HOLD_S = 20.0  # how much longer a shipper lives for it
LONGEST_SETTLING_S = 10.0  # a run's end is by its master's clock


class Capturing:
    """Captures in a thread of its own; without *url* it does nothing."""

    def __init__(self, database: str, parameters: Mapping[str, Any], url: str | None) -> None:
        self._database, self._parameters, self._url = database, parameters, url
        self._wake = threading.Event()
        self._asked = self._answered = 0
        self._hold_until = 0.0
        self._said = ""
        if url is not None:
            threading.Thread(target=self._work, daemon=True).start()

    def look(self) -> None:
        """Say that runs may have ended."""
        self._asked += 1
        self._hold_until = time.monotonic() + LONGEST_HOLD_S
        self._wake.set()

    def busy(self) -> bool:
        """Tell whether it is worth waiting for what was asked for."""
        waits = self._url is not None and self._asked > self._answered
        return waits and time.monotonic() < self._hold_until

    def _work(self) -> None:
        while True:
            self._wake.wait(RETRY_S if self._asked else None)
            self._wake.clear()
            asked = self._asked
            try:
                self._capture_all()
            except (psycopg.Error, prometheus.Unavailable) as error:
                self._complain(error)
            self._answered = asked

    def _capture_all(self) -> None:
        assert self._url is not None
        where = psycopg.connect(self._database, autocommit=True, **self._parameters)
        with where as connection:
            for run_id, ended in captures.wanting(connection):
                _settle(ended)
                capture = prometheus.read(self._url, run_id, ended)
                captures.store(connection, run_id, capture)
        self._said = ""

    def _complain(self, error: Exception) -> None:
        reason = " ".join(str(error).split())
        if reason != self._said:
            self._said = reason
            logger.warning("The services' own figures are not stored with their runs: %s", reason)


def _settle(ended: datetime) -> None:
    """Wait until Prometheus has seen the run's last seconds."""
    left_s = (prometheus.settled(ended) - datetime.now(UTC)).total_seconds()
    time.sleep(min(max(0.0, left_s), LONGEST_SETTLING_S))
