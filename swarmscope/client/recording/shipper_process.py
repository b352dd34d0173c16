"""Locust's side of shipping: keeps a shipper running, and waits for it at the end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Set
from pathlib import Path

import gevent

from swarmscope import file_locks
from swarmscope.client.frozen_options import Options, shipper_environment
from swarmscope.client.recording.backlog import Backlog
from swarmscope.client.recording.listener import Listener
from swarmscope.journal import progress
from swarmscope.journal.format import JournalError
from swarmscope.journal.reader import Reader
from swarmscope.journal.segments import make_directory, segments

logger = logging.getLogger(__name__)

LOCK = "shipper.lock"
WATCH_SECONDS = 1.0
PROGRESS_SECONDS = 2.0
POLL_SECONDS = 0.05
PROGRESS = "Delivering samples to the runs database: %s left, waiting %.0f s at most"
TOO_LATE = "could not be delivered in time and remain"
LAST_RECORD_SECONDS = 2.0


class ShipperProcess:
    """The one shipper of a journal directory, whichever process starts it.

    The lock of the directory is taken here and inherited by the shipper, which holds it for as long
    as it lives: so all Locust processes of a machine agree, and a killed shipper is replaced.
    """

    def __init__(self, options: Options, listener: Listener) -> None:
        self._options = options
        self._listener = listener
        self._directory = options.journal_directory
        self._child: subprocess.Popen[bytes] | None = None
        self._hopeless = options.keep_journals  # then this machine has no way to the database
        self._unreadable: set[str] = set()  # journals for which no shipper need be started
        self._complained = False
        self._watcher = gevent.spawn(self._watch)

    def _watch(self) -> None:
        while not self._hopeless:
            if segments(self._directory).keys() - self._unreadable:  # else it would end at once
                self.ensure()
            gevent.sleep(WATCH_SECONDS)

    def ensure(self) -> None:
        """Start a shipper unless one runs."""
        if self._gave_up():
            return
        try:
            make_directory(self._directory)
            lock = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if file_locks.lock(lock):
                    self._child = self._start(lock)
                    self._complained = False
            finally:
                os.close(lock)
        except OSError as error:  # a full disk, or no room for a process: there may be, later
            if not self._complained:
                logger.error("Cannot start a shipper in %s: %s", self._directory, error.strerror)
            self._complained = True

    def _gave_up(self) -> bool:
        """Return whether, by the exit status of our last shipper, another one would be in vain."""
        exit_status = self._child.poll() if self._child else None
        self._hopeless |= exit_status == progress.HOPELESS
        if exit_status == progress.UNREADABLE:
            self._child = None
            self._unreadable = segments(self._directory).keys() - {self._listener.spool.journal}
            return True
        return self._hopeless

    def _start(self, lock: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "swarmscope.shipper", str(self._directory)]
        command += ["--drain", str(self._options.drain_seconds), "--lock", str(lock)]
        command += ["--database", self._options.database]
        return subprocess.Popen(
            command,
            env=shipper_environment(self._options),
            stdin=subprocess.DEVNULL,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is for Locust; what it leaves must be delivered
        )

    def wait(self, others: Set[str], shows: bool, spent_s: float = 0.0) -> bool:
        """Wait until our closed journal is delivered, and those of *others* as they close.

        Return whether they are. *others* may grow meanwhile. Gives up after the drain time, of
        which *spent_s* was waited before, but always gives the last record a chance; *shows*: log
        the progress.
        """
        patience = max(self._options.drain_seconds - spent_s, LAST_RECORD_SECONDS)
        deadline = time.monotonic() + min(patience, self._options.drain_seconds)
        shown = time.monotonic()
        while left := self._bytes_left({self._listener.spool.journal, *others}):
            self.ensure()
            if self._hopeless or time.monotonic() > deadline:
                break
            if shows and time.monotonic() > shown + PROGRESS_SECONDS:
                shown = time.monotonic()
                logger.info(PROGRESS, size(left), deadline - shown)
            gevent.sleep(POLL_SECONDS)
        if left:  # a worker logs it too: it may be alone on its machine
            logger.warning(
                "%s of samples %s in %s: 'swarmscope ship %s'%s delivers them",
                size(left),
                "are kept" if self._options.keep_journals else TOO_LATE,
                self._directory,
                self._directory,
                "" if self._options.keep_journals else " or the next start",
            )
        self._watcher.kill()
        return not left

    def _bytes_left(self, journals: set[str]) -> int:
        """Return the bytes on disk of *journals* that the database has not confirmed."""
        shipped = progress.read(self._directory)
        left = 0
        for journal, files in segments(self._directory).items():
            if journal in journals:
                left += max(1, _end(files[-1].path) - shipped.get(journal, (0, 0.0))[0])
        return left

    def backlog(self) -> Backlog:
        """Return how far our journal is from the database."""
        shipped = progress.read(self._directory)
        position, caught_up = shipped.get(self._listener.spool.journal, (0, 0.0))
        unshipped = max(0, self._listener.spool.position - position)
        lag = max(0.0, time.time() - caught_up) if unshipped and caught_up else 0.0
        return Backlog(unshipped, lag, self._listener.dropped, self._listener.spool.removed)


def _end(path: Path) -> int:
    """Return the position of a journal's end, by its last segment; 0 where none can be read."""
    try:
        with Reader(path) as reader:
            return reader.end()
    except (EOFError, JournalError, OSError):
        return 0


def size(count: int) -> str:
    """Return *count* bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
