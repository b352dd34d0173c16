"""Takes profiles of a running run's services: a thread of the shipper beside the run's leader.

CPU and waiting take turns, all services at once. What is taken is stored at once; each level is
joined into one window once it is over, and what belongs to none into windows by time.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from swarmscope.journal.segments import segments
from swarmscope.runs import captures, prometheus, server_series
from swarmscope.runs.captures import UncapturedRun
from swarmscope.runs.connection import Connection
from swarmscope.runs.counters import Level
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING
from swarmscope.runs.prometheus import Prometheus
from swarmscope.shipper.profile_source import Busy, NoProfile, ProfileSource

logger = logging.getLogger(__name__)

SWITCH = "SWARMSCOPE_PROFILES"  # 0: none are taken
TURNS = ((CPU, 5.0), (WAITING, 2.5))  # seconds of each
LOOK_S = 2.0  # between looks for a running run, and for one that can be profiled again
FIND_S = 10.0  # between looks where its services are
RETRY_S = 60.0  # until an address that did not answer is tried again
TIDY_S = 60.0  # between joins of what belongs to no level
MAX_LEVEL_S = 600.0  # for how long what may belong to a level is kept as it was taken
WINDOW_S, MAX_WINDOWS = 15.0, 240  # of what belongs to no level; wider in a longer run
MAX_HOLD_S = 15.0  # how long a shipper stays alive for it


class ProfilingThread:
    """Profiles the services of runs whose journals are in *directory*, in its own thread."""

    def __init__(
        self, database: str, parameters: Mapping[str, Any], url: str | None, directory: Path
    ) -> None:
        """*url* is the Prometheus that is asked where a run's options name none."""
        self._database, self._parameters = database, parameters
        self._url, self._directory = url, directory
        self._run: ProfiledRun | None = None
        self._hold_until = 0.0
        self._closed, self._expected = threading.Event(), threading.Event()
        self._expected.set()
        self._thread = threading.Thread(target=self._work, daemon=True)
        if os.environ.get(SWITCH) != "0":
            self._thread.start()

    def expect_run(self) -> None:
        """Look for a running run: requests have come, and no connection is kept in between."""
        self._expected.set()

    def expect_end(self) -> None:
        """Note that a run may have ended: its last profiles are worth waiting for."""
        self._hold_until = time.monotonic() + MAX_HOLD_S

    def is_busy(self) -> bool:
        """Return whether a run that has ended still has profiles to be stored."""
        return self._run is not None and time.monotonic() < self._hold_until

    def close(self) -> None:
        """End the thread after the profile that is being taken; a process that ends need not."""
        self._closed.set()
        self._expected.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._closed.wait(LOOK_S):
            self._expected.wait()
            self._expected.clear()
            with (
                suppress(psycopg.Error),  # the shipper itself logs it
                psycopg.connect(self._database, autocommit=True, **self._parameters) as connection,
            ):
                self._follow(connection)

    def _follow(self, connection: Connection) -> None:
        """Take profiles until no run is running."""
        while not self._closed.is_set():
            took = self._turn(connection)
            if self._run is None and self._running(connection) is None:
                return
            self._closed.wait(0 if took else LOOK_S)

    def _turn(self, connection: Connection) -> bool:
        """Take a profile of each kind; return whether any was taken."""
        found = self._running(connection)
        if self._run and (found is None or found.run_id != self._run.run_id):
            self._run.finish(connection)
            self._run = None
        url = found and captures.locate(found.url, found.host, self._url)
        if not found or not url:
            return False
        self._run = self._run or ProfiledRun(found.run_id, url)
        took = False
        for kind, seconds in TURNS:
            if self._running(connection) == found:
                took |= self._run.take(connection, kind, seconds)
        self._run.tidy(connection)
        return took

    def _running(self, connection: Connection) -> UncapturedRun | None:
        """Return the latest running run that a Locust process of this directory leads."""
        journals = segments(self._directory).keys()
        runs = captures.uncaptured(connection, running=True)
        return next(
            (run for run in runs if run.journal_id and run.journal_id.hex in journals), None
        )


class ProfiledRun:
    """The profiles of one run: where its services are, and what of them is stored."""

    def __init__(self, run_id: datetime, url: str) -> None:
        self.run_id, self._url = run_id, url
        self._sources: list[ProfileSource] = []
        self._not_before: dict[str, float] = {}  # addresses without profiles, for how long
        self._found = self._tidied = float("-inf")  # when that was last done (monotonic)
        self._joined: set[int] = set()  # numbers of levels
        self._logged: set[str] = set()

    def take(self, connection: Connection, kind: str, seconds: float) -> bool:
        """Take and store a profile of each service, all at once; return whether there was any."""
        if time.monotonic() > self._found + FIND_S:
            self._find(connection)
        taken: dict[str, Any] = {}
        threads = [
            threading.Thread(target=self._take, args=(one, kind, seconds, taken), daemon=True)
            for one in self._sources
        ]
        since = datetime.now(UTC)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for job, profile in taken.items():
            until = since + timedelta(seconds=seconds)
            storage.store(connection, self.run_id, job, since, until, profile)
        return bool(taken)

    def tidy(self, connection: Connection) -> None:
        """Join what is stored of each level that is over, and now and then of the time between."""
        now = datetime.now(UTC)
        over = [
            level for level in captures.levels(connection, self.run_id, now) if level.until < now
        ]
        self._join(connection, over)
        if time.monotonic() > self._tidied + TIDY_S:
            self._tidied = time.monotonic()
            bounds = [over[-1].until] if over else []
            horizon = max([*bounds, now - timedelta(seconds=MAX_LEVEL_S)])
            self._join_between(connection, over, horizon)

    def finish(self, connection: Connection) -> None:
        """Join all that is stored: the run is over."""
        row = connection.execute("SELECT end_time FROM testrun WHERE id = %s", [self.run_id])
        ended = (row.fetchone() or (None,))[0] or datetime.now(UTC)
        levels = captures.levels(connection, self.run_id, ended)
        self._join(connection, levels)
        self._join_between(connection, levels, ended + timedelta(seconds=MAX_LEVEL_S))

    def _join(self, connection: Connection, levels: Sequence[Level]) -> None:
        new = [level for level in levels if level.number not in self._joined]
        storage.join_levels(connection, self.run_id, new)
        self._joined |= {level.number for level in new}

    def _join_between(self, connection: Connection, levels: Sequence[Level], end: datetime) -> None:
        """Join what is between levels, up to *end*, into windows that grow with the run."""
        bounds = [self.run_id, *(t for level in levels for t in (level.since, level.until)), end]
        width_s = WINDOW_S
        while (end - self.run_id).total_seconds() > MAX_WINDOWS * width_s:
            width_s *= 2
        for span in list(pairwise(bounds))[::2]:
            storage.join_windows(connection, self.run_id, span, width_s)

    def _find(self, connection: Connection) -> None:
        """Find where the services of the run serve their metrics."""
        self._found = time.monotonic()
        now = datetime.now(UTC)
        targets = captures.targets(connection, self.run_id)
        with suppress(prometheus.Unavailable):
            services = server_series.find(self._url, self.run_id, now, targets)
            addresses = _addresses(self._url, [service.name for service in services])
            kept = {one.address: one for one in self._sources}
            self._sources = [
                kept.get(at) or ProfileSource(job, at) for job, at in addresses.items()
            ]

    def _take(
        self, source: ProfileSource, kind: str, seconds: float, taken: dict[str, Any]
    ) -> None:
        if time.monotonic() < self._not_before.get(source.address, 0.0):
            return
        with suppress(Busy):  # the next turn comes
            try:
                taken[source.job] = source.take(kind, seconds)
            except NoProfile as error:
                self._leave_alone(source, error)

    def _leave_alone(self, source: ProfileSource, error: NoProfile) -> None:
        """Ask *source* no more for a while, or ever, and log why once."""
        reason = str(error)
        wait_s = RETRY_S if reason else float("inf")
        self._not_before[source.address] = time.monotonic() + wait_s
        if reason and source.job not in self._logged:
            self._logged.add(source.job)
            at = source.job, source.address
            logger.warning("Cannot take profiles of %s at %s: %s", *at, reason)


def _addresses(url: str, jobs: Sequence[str]) -> dict[str, str]:
    """Return where the metrics of each job are served: of one process of it, if there are many.

    A loopback address is of use only if Prometheus, whose it is, is on this machine. Raises
    `prometheus.Unavailable`.
    """
    names = json.dumps("|".join(map(re.escape, jobs)), ensure_ascii=False)
    lines = Prometheus(url).at(time.time(), f"group by (job, instance) (up{{job=~{names}}} == 1)")
    found = sorted((line.metric.get("job", ""), line.metric.get("instance", "")) for line in lines)
    usable = [
        (job, at)
        for job, at in found
        if prometheus.is_loopback(url) or not prometheus.is_loopback(f"http://{at}")
    ]
    return dict(reversed(usable))
