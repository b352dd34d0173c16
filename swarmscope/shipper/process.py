"""The shipper: a process beside Locust that delivers journals to the runs database.

Started by Locust (`python -m swarmscope.shipper DIR`), never by hand: people have
`swarmscope ship`. It imports nothing of Locust. It may be killed at any instant.
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
from contextlib import suppress
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
from swarmscope.journal.segments import (
    Damaged,
    Header,
    JournalError,
    Reader,
    Segment,
    irregular,
    is_alive,
    is_stillborn,
    remove_reserves,
    segments,
)
from swarmscope.runs.schema import migrations, reader_sessions
from swarmscope.shipper.capture import Capturing
from swarmscope.shipper.delivery import Delivery, Overtaken
from swarmscope.shipper.sanitize import INT4_MAX, plain_text

logger = logging.getLogger("swarmscope.shipper")

Connection = psycopg.Connection[Any]

PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 1.0
LEAST_PAUSE_SHARE = 3.0  # pauses are at least so many times as long as the round before
FIRST_BACK_OFF_SECONDS = 0.2
LONGEST_BACK_OFF_SECONDS = 5.0
UNEXPECTED = (JournalError, ValueError, ArithmeticError, struct.error)  # of one journal
GC_THRESHOLD = 500_000  # a batch makes many objects and no cycles: the default costs a tenth
UNKNOWN = "unknown"  # whose header is damaged
KEEP_ALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "swarmscope shipper",
    "client_encoding": "UTF8",  # rows are packed so, whatever PGCLIENTENCODING says
}


@dataclass
class Shipper:
    """Delivers the journals of a directory, again and again."""

    directory: Path
    database: str = ""  # libpq's connection string; empty: as libpq's environment says
    _connection: Connection | None = None
    _migrated: bool = False
    _deliveries: dict[str, Delivery] = field(default_factory=dict)
    _unreadable: dict[str, list[Segment]] = field(default_factory=dict)
    _complained: set[str] = field(default_factory=set)
    delivered: int = 0  # samples, by this shipper
    ended: bool = True  # whether runs may have ended that nobody has looked at yet
    max_reading: timedelta = reader_sessions.MAX_TRANSACTION
    _readers_checked: float = -math.inf  # monotonic

    def round(self) -> bool:
        """Deliver a batch of each journal; tell whether more is there already.

        Raises psycopg.Error when the database cannot be reached or refuses.
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
                self.delivered += delivery.shipped_now
                self.ended |= delivery.ended_now
            except (Overtaken, FileNotFoundError):  # by another shipper: look again
                more = True
            except (OSError, *UNEXPECTED) as error:  # such as a directory where nothing is deleted
                self._complain(journal, error)
            except psycopg.Error as error:
                if connection.broken:
                    raise
                failure = error  # of this journal: the others go on
            if delivery.finished:
                del self._deliveries[journal]
        if failure:
            raise failure
        return more

    def disconnect(self) -> None:
        """Drop the connection; the next round makes a new one."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def is_empty(self) -> bool:
        """Tell whether no journal is left that this program can read."""
        return not (segments(self.directory).keys() - self._unreadable.keys())

    def any_alive(self) -> bool:
        """Return whether a living process writes to one of the journals."""
        return any(_is_alive(files[-1]) for files in segments(self.directory).values())

    def write_status(self) -> None:
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
            # what is acknowledged is deleted here, whatever the database's own setting is
            self._connection.execute("SET synchronous_commit = on")
            if not self._migrated:
                _migrate(self._connection)
                self._migrated = True
        return self._connection

    def _bound_readers(self, connection: Connection) -> None:
        """End old transactions of readers now and then: every batch leaves dead rows behind."""
        if time.monotonic() < self._readers_checked + reader_sessions.CHECK_EVERY_S:
            return
        if ended := reader_sessions.end_old_transactions(connection, self.max_reading):
            logger.warning(
                "Ended %s sessions of %s: each had kept a transaction open for more than %s",
                ended,
                reader_sessions.READER,
                self.max_reading,
            )
        self._readers_checked = time.monotonic()

    def _discover(self) -> None:
        """Take up the journals that are new in the directory."""
        for path in irregular(self.directory):
            self._complain(path.name, JournalError(f"{path} is not a file"))
        for journal, files in segments(self.directory).items():
            if journal in self._deliveries or self._unreadable.get(journal) == files:
                continue
            try:
                header = _header_of(files)
                self._deliveries[journal] = Delivery(self.directory, journal, header)
            except FileNotFoundError:
                continue
            except EOFError:
                self._remove_stillborn(files[0])
            except Damaged:
                if not _is_alive(files[-1]):  # else another segment may say whose it is
                    header = Header(journal, 0, 0, UNKNOWN, UNKNOWN, 0, False)
                    self._deliveries[journal] = Delivery(self.directory, journal, header)
            except (JournalError, OSError) as error:
                self._complain(journal, error)
                self._unreadable[journal] = files

    def _remove_stillborn(self, segment: Segment) -> None:
        """Remove a file whose writer ended before it wrote anything."""
        path = segment.path
        try:
            if is_stillborn(path):
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # somebody else did
        except OSError as error:
            self._complain(segment.journal, error)
            self._unreadable[segment.journal] = [segment]

    def _complain(self, journal: str, error: Exception) -> None:
        if journal not in self._complained:
            self._complained.add(journal)
            logger.error("%s; it is left as it is", error)


def _header_of(files: list[Segment]) -> Header:
    """Return the header of the first segment that has one; the damaged ones before are told later.

    Raises EOFError for a journal that has just begun, JournalError for one that cannot be read.
    """
    damage: EOFError | JournalError | None = None
    for segment in files:
        try:
            with Reader(segment.path) as reader:
                if reader.header.journal != segment.journal:  # a copy would be delivered twice
                    raise JournalError(f"{segment.path} is a part of {reader.header.journal}")
                return _storable(reader.header)
        except (EOFError, JournalError) as error:
            damage = damage or error
    assert damage
    raise damage


def _storable(header: Header) -> Header:
    """Return *header* such that the database can hold whose it is."""
    worker, host = plain_text(header.worker), plain_text(header.host)
    pid = max(-INT4_MAX, min(header.pid, INT4_MAX))
    return msgspec.structs.replace(header, worker=worker, host=host, pid=pid)


def _is_alive(segment: Segment) -> bool:
    try:
        return is_alive(segment)
    except OSError:  # somebody else's
        return False


def _migrate(connection: Connection) -> None:
    """Bring the schema up to date, or be content with it when its owner is somebody else."""
    try:
        migrations.migrate(connection)
    except psycopg.errors.InsufficientPrivilege:
        found = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        if found != (migrations.NEWEST,):
            raise


@dataclass
class Trouble:
    """Tells once that the database is away, and once that it is back; paces the attempts."""

    directory: Path
    since: float | None = None
    said: str = ""
    back_off: float = FIRST_BACK_OFF_SECONDS

    def begin(self, error: Exception) -> float:
        """Note a failure; return how long to wait before the next attempt."""
        self.since = self.since or time.monotonic()
        if type(error).__name__ != self.said:
            self.said = type(error).__name__
            logger.warning(
                "The runs database does not take samples; they wait in %s (%s)",
                self.directory,
                first_line(error),
            )
        pause = self.back_off
        self.back_off = min(2 * self.back_off, LONGEST_BACK_OFF_SECONDS)
        return pause

    def end(self) -> None:
        """Note that the database has answered."""
        if self.since is not None:
            logger.info(
                "The runs database takes samples again, after %.0f s",
                time.monotonic() - self.since,
            )
        self.since, self.said, self.back_off = None, "", FIRST_BACK_OFF_SECONDS


@dataclass
class Deadline:
    """When to end: once no Locust process writes any more, and all is delivered or time is up."""

    seconds: float
    at: float | None = None
    watchdog: threading.Timer | None = None

    def reached(self, shipper: Shipper) -> bool:
        """Tell whether to end now."""
        if shipper.any_alive():
            self._lift()
            return False
        if shipper.is_empty():
            self._lift()
            return True
        if self.at is None:
            self.at = time.monotonic() + self.seconds
            # a database that hangs would hold the process; to be killed does it no harm
            self.watchdog = threading.Timer(self.seconds + 1, os._exit, [0])
            self.watchdog.daemon = True
            self.watchdog.start()
        return time.monotonic() > self.at

    def _lift(self) -> None:
        self.at = None
        if self.watchdog:
            self.watchdog.cancel()


def ship_until(deadline: Deadline, shipper: Shipper, capturing: Capturing) -> None:
    """Deliver until *deadline* says that it is over. Raises NewerSchema."""
    trouble = Trouble(shipper.directory)
    while not deadline.reached(shipper) or capturing.busy():
        began = time.monotonic()
        try:
            more = shipper.round()
            trouble.end()
            if shipper.ended:
                shipper.ended = False
                capturing.look()
            pause = max(PAUSE_SECONDS, LEAST_PAUSE_SHARE * (time.monotonic() - began))
            pause = min(pause, LONGEST_PAUSE_SECONDS)  # a round may have hung for long
            pause = 0.0 if more else pause
        except psycopg.Error as failure:
            shipper.disconnect()
            pause = trouble.begin(failure)
        shipper.write_status()
        time.sleep(pause)


def main() -> None:
    """Deliver the journals of a directory until its Locust processes have ended."""
    parser = argparse.ArgumentParser(prog="swarmscope.shipper", description=main.__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--drain", type=float, required=True, help="seconds after the last writer")
    parser.add_argument("--lock", type=int, required=True, help="inherited lock of the directory")
    parser.add_argument("--database", default="", help="URL; else as libpq's environment says")
    arguments = parser.parse_args()
    gc.set_threshold(GC_THRESHOLD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Locust's to handle; what it leaves is delivered
    logging.raiseExceptions = False  # whoever reads our log may end before us
    logging.basicConfig(
        level=logging.INFO, format="[%(asctime)s] %(levelname)s/%(name)s: %(message)s"
    )
    logging.getLogger("swarmscope.runs").setLevel(logging.WARNING)
    shipper = Shipper(arguments.directory, arguments.database)
    capturing = Capturing(arguments.database, KEEP_ALIVE, locate_prometheus())
    try:
        ship_until(Deadline(arguments.drain), shipper, capturing)
    except migrations.NewerSchema as error:
        logger.error("%s", error)
        sys.exit(progress.HOPELESS)
    if segments(arguments.directory) and shipper.is_empty():
        sys.exit(progress.UNREADABLE)
