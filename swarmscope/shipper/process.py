"""The shipper: a process beside Locust that delivers journals to the runs database.

Locust starts it (`python -m swarmscope.shipper DIRECTORY`); people use `swarmscope ship`. It never
imports Locust, and may be killed at any instant.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import signal
import struct
import sys
import threading
import time
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from swarmscope.atomic_files import Unwritable
from swarmscope.formatting import first_line
from swarmscope.home import locate_prometheus
from swarmscope.journal import progress
from swarmscope.journal.format import Damaged, Header, JournalError
from swarmscope.journal.reader import Reader
from swarmscope.journal.segments import Segment, is_abandoned, is_alive, not_files, segments
from swarmscope.journal.writer import remove_reserves
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import migrations, reader_sessions
from swarmscope.shipper.app_database import URL_VARIABLE
from swarmscope.shipper.capture import CaptureThread
from swarmscope.shipper.database_thread import DatabaseThread
from swarmscope.shipper.delivery import Delivery, Overtaken
from swarmscope.shipper.profiling import ProfilingThread
from swarmscope.shipper.sanitize import INT4_MAX, without_nul

logger = logging.getLogger("swarmscope.shipper")

PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 1.0
MIN_PAUSE_RATIO = 3.0  # of a pause to the round before it
FIRST_BACK_OFF_SECONDS = 0.2
MAX_BACK_OFF_SECONDS = 5.0
UNEXPECTED = (OSError, JournalError, ValueError, ArithmeticError, struct.error)  # in one journal
GC_THRESHOLD = 500_000  # batches make many objects and no cycles: the default costs a tenth
UNKNOWN = "unknown"  # worker and host of a journal without a readable header
KEEP_ALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "swarmscope shipper",
    "client_encoding": "UTF8",  # of packed rows, whatever PGCLIENTENCODING is
}


@dataclass
class Shipper:
    """Delivers the journals of a directory, round by round."""

    directory: Path
    database: str = ""  # libpq connection string; empty: libpq's environment
    _connection: Connection | None = None
    _migrated: bool = False
    _deliveries: dict[str, Delivery] = field(default_factory=dict)
    _unreadable: dict[str, list[Segment]] = field(default_factory=dict)
    _skipped: set[str] = field(default_factory=set)  # journals and files already logged
    delivered: int = 0  # samples, by this shipper
    runs_ended: bool = True  # whether runs may have ended since this was last reset
    max_reading: timedelta = reader_sessions.MAX_TRANSACTION
    _readers_checked: float = -math.inf  # monotonic

    def round(self) -> bool:
        """Deliver a batch of each journal; return whether there is more already.

        Raises psycopg.Error when the database cannot be reached or rejects a batch.
        """
        with suppress(OSError):
            remove_reserves(self.directory)
        self._discover()
        connection = self._connected()
        self._bound_readers(connection)
        more = False
        failure = None
        for journal, delivery in list(self._deliveries.items()):
            try:
                more |= delivery.ship(connection)
                self.delivered += delivery.delivered
                self.runs_ended |= delivery.run_ended
            except (Overtaken, FileNotFoundError):  # another shipper was faster: retry
                more = True
            except UNEXPECTED as error:
                self._skip(journal, error)
            except psycopg.Error as error:
                if connection.broken:
                    raise
                failure = error  # in this journal: deliver the others
            if delivery.finished:
                del self._deliveries[journal]
        if failure:
            raise failure
        return more

    def disconnect(self) -> None:
        """Close the connection; the next round opens a new one."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def is_empty(self) -> bool:
        """Return whether no journal is left that this program can read."""
        return not (segments(self.directory).keys() - self._unreadable.keys())

    def any_alive(self) -> bool:
        """Return whether a living process writes to one of the journals."""
        return any(_is_alive(files[-1]) for files in segments(self.directory).values())

    def write_progress(self) -> None:
        """Write the progress of each journal for Locust to read."""
        shipped = {d.journal: (d.position or 0, d.caught_up) for d in self._deliveries.values()}
        try:
            progress.write(self.directory, shipped)
        except Unwritable as error:  # a full disk does not keep samples from being delivered
            logger.debug("Cannot write progress: %s", error)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.database, autocommit=True, **KEEP_ALIVE)
            self._connection.execute("SET statement_timeout = 0")
            # segments are deleted once committed, whatever the database's own setting is
            self._connection.execute("SET synchronous_commit = on")
            if not self._migrated:
                _migrate(self._connection)
                self._migrated = True
        return self._connection

    def _bound_readers(self, connection: Connection) -> None:
        """End old transactions of readers now and then: they keep dead rows from being vacuumed."""
        if time.monotonic() < self._readers_checked + reader_sessions.CHECK_EVERY_S:
            return
        if ended := reader_sessions.end_old_transactions(connection, self.max_reading):
            logger.warning(
                "Ended %s sessions of %s that had a transaction open for more than %s",
                ended,
                reader_sessions.READER,
                self.max_reading,
            )
        self._readers_checked = time.monotonic()

    def _discover(self) -> None:
        """Begin the delivery of the journals that are new in the directory."""
        for path in not_files(self.directory):
            self._skip(path.name, JournalError(f"{path} is not a file"))
        for journal, files in segments(self.directory).items():
            if journal in self._deliveries or self._unreadable.get(journal) == files:
                continue
            try:
                header = _header_of(files)
                self._deliveries[journal] = Delivery(self.directory, journal, header)
            except FileNotFoundError:
                continue
            except EOFError:
                self._remove_abandoned(files[0])
            except Damaged:
                if not _is_alive(files[-1]):  # else its next segment may have a header
                    header = Header(journal, 0, 0, UNKNOWN, UNKNOWN, 0, False)
                    self._deliveries[journal] = Delivery(self.directory, journal, header)
            except (JournalError, OSError) as error:
                self._skip(journal, error)
                self._unreadable[journal] = files

    def _remove_abandoned(self, segment: Segment) -> None:
        """Remove a segment whose writer ended before it wrote anything."""
        path = segment.path
        try:
            if is_abandoned(path):
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # another shipper removed it
        except OSError as error:
            self._skip(segment.journal, error)
            self._unreadable[segment.journal] = [segment]

    def _skip(self, journal: str, error: Exception) -> None:
        if journal not in self._skipped:
            self._skipped.add(journal)
            logger.error("%s; left unchanged", error)


def _header_of(files: list[Segment]) -> Header:
    """Return the header of the first segment that has one; the delivery reports damage before it.

    Raises EOFError for a journal that has just begun, JournalError for one that cannot be read.
    """
    damage: EOFError | JournalError | None = None
    for segment in files:
        try:
            with Reader(segment.path) as reader:
                if reader.header.journal != segment.journal:  # a copy would be delivered twice
                    raise JournalError(
                        f"{segment.path} is a copy of journal {reader.header.journal}"
                    )
                return _sanitized(reader.header)
        except (EOFError, JournalError) as error:
            damage = damage or error
    assert damage
    raise damage


def _sanitized(header: Header) -> Header:
    """Return *header* with values that the database can store."""
    worker, host = without_nul(header.worker), without_nul(header.host)
    pid = max(-INT4_MAX, min(header.pid, INT4_MAX))
    return msgspec.structs.replace(header, worker=worker, host=host, pid=pid)


def _is_alive(segment: Segment) -> bool:
    try:
        return is_alive(segment)
    except OSError:  # another user's
        return False


def _migrate(connection: Connection) -> None:
    """Bring the schema up to date; another role's schema is used if it already is."""
    try:
        migrations.migrate(connection)
    except psycopg.errors.InsufficientPrivilege:
        found = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        if found != (migrations.NEWEST,):
            raise


@dataclass
class Outage:
    """Logs when the database fails and when it is back, once each; spaces the retries."""

    directory: Path
    since: float | None = None
    logged: str = ""  # type of the last error
    back_off: float = FIRST_BACK_OFF_SECONDS

    def failed(self, error: Exception) -> float:
        """Note a failure; return how many seconds to wait before the next attempt."""
        self.since = self.since or time.monotonic()
        if type(error).__name__ != self.logged:
            self.logged = type(error).__name__
            logger.warning(
                "Cannot write to the runs database; samples are queued in %s (%s)",
                self.directory,
                first_line(error),
            )
        pause = self.back_off
        self.back_off = min(2 * self.back_off, MAX_BACK_OFF_SECONDS)
        return pause

    def recovered(self) -> None:
        """Note that the database works."""
        if self.since is not None:
            logger.info(
                "Writing to the runs database again after %.0f s",
                time.monotonic() - self.since,
            )
        self.since, self.logged, self.back_off = None, "", FIRST_BACK_OFF_SECONDS


@dataclass
class Deadline:
    """When to end: once no Locust process writes any more and all is delivered, or time is up."""

    seconds: float
    at: float | None = None
    watchdog: threading.Timer | None = None

    def reached(self, shipper: Shipper) -> bool:
        """Return whether to end now."""
        if (alive := shipper.any_alive()) or shipper.is_empty():
            self._clear()
            return not alive
        if self.at is None:
            self.at = time.monotonic() + self.seconds
            # else a hanging database would block the process, which may be killed at any time
            self.watchdog = threading.Timer(self.seconds + 1, os._exit, [0])
            self.watchdog.daemon = True
            self.watchdog.start()
        return time.monotonic() > self.at

    def _clear(self) -> None:
        self.at = None
        if self.watchdog:
            self.watchdog.cancel()


def ship_until(
    deadline: Deadline, shipper: Shipper, captures: CaptureThread, profiling: ProfilingThread
) -> None:
    """Deliver until *deadline* is reached; raises NewerSchema."""
    outage, seen = Outage(shipper.directory), 0
    while not deadline.reached(shipper) or captures.is_busy() or profiling.is_busy():
        began = time.monotonic()
        try:
            more = shipper.round()
            outage.recovered()
            if shipper.delivered > seen:
                seen = shipper.delivered
                profiling.expect_run()
            if shipper.runs_ended:
                shipper.runs_ended = False
                captures.request()
                profiling.expect_end()
            pause = max(PAUSE_SECONDS, MIN_PAUSE_RATIO * (time.monotonic() - began))
            pause = min(pause, MAX_PAUSE_SECONDS)  # a round may have hung for long
            pause = 0.0 if more else pause
        except psycopg.Error as error:
            shipper.disconnect()
            pause = outage.failed(error)
        shipper.write_progress()
        time.sleep(pause)


def main() -> None:
    """Deliver the journals of a directory until its Locust processes have ended."""
    parser = argparse.ArgumentParser(prog="swarmscope.shipper", description=main.__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--drain", type=float, required=True, help="seconds after the last writer")
    parser.add_argument("--lock", type=int, required=True, help="inherited lock of the directory")
    parser.add_argument("--database", default="", help="URL; else libpq's environment")
    arguments = parser.parse_args()
    gc.set_threshold(GC_THRESHOLD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Locust handles it; then the rest is delivered
    logging.raiseExceptions = False  # the reader of the log may end first
    logging.basicConfig(
        level=logging.INFO, format="[%(asctime)s] %(levelname)s/%(name)s: %(message)s"
    )
    logging.getLogger("swarmscope.runs").setLevel(logging.WARNING)
    shipper = Shipper(arguments.directory, arguments.database)
    database, prometheus = arguments.database, locate_prometheus()
    captures = CaptureThread(database, KEEP_ALIVE, prometheus)
    profiling = ProfilingThread(database, KEEP_ALIVE, prometheus, arguments.directory)
    where = arguments.directory, database, KEEP_ALIVE
    url = os.environ.get(URL_VARIABLE)
    try:
        with closing(DatabaseThread(*where, url)) if url else nullcontext():
            ship_until(Deadline(arguments.drain), shipper, captures, profiling)
    except migrations.NewerSchema as error:
        logger.error("%s", error)
        sys.exit(progress.HOPELESS)
    if segments(arguments.directory) and shipper.is_empty():
        sys.exit(progress.UNREADABLE)
