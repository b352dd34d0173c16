"""This process's journal: kept within its limit, and started over if it is removed."""

from __future__ import annotations

import logging
import time
from uuid import uuid4

import msgspec

from swarmscope.client import clock
from swarmscope.client.frozen_options import Options
from swarmscope.client.recording.encoding import encoded
from swarmscope.journal.format import Header
from swarmscope.journal.records import Continued, Resumed
from swarmscope.journal.writer import SEGMENT_BYTES, Reserve, Writer

logger = logging.getLogger(__name__)

LIMIT_CHECK_SECONDS = 1.0


class Spool:
    """Appends payloads; the caller keeps or drops what could not be written."""

    def __init__(self, options: Options, header: Header) -> None:
        self.directory = options.journal_directory
        self.removed = 0  # journals that somebody deleted while they were written
        self.trouble = ""  # why the last payload was not written; '' if it was
        self.opening: list[bytes] = []  # the records with which the current run began
        self._run = ""
        self._header = header
        self._limit_bytes = options.journal_limit_bytes
        self._writer: Writer | None = None
        self._reserve: Reserve | None = None
        self._resumption: list[bytes] = []  # to be written before all else
        self._checked_at = 0.0
        self._full = False

    @property
    def journal(self) -> str:
        """The journal's id."""
        return self._header.journal

    @property
    def position(self) -> int:
        """The journal's length in bytes."""
        return self._writer.position if self._writer else 0

    def begin(self, run: str) -> None:
        """Start *run*: a journal that has to start over begins with its opening."""
        self._run, self.opening = run, []

    def append(self, payload: bytes) -> bool:
        """Append to the journal; return whether it was written."""
        try:
            writer = self._whole_writer()
            while self._resumption:
                writer.append(self._resumption[0])
                del self._resumption[0]
            writer.append(payload)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return False
        self.trouble = ""
        try:
            writer.roll(encoded(Continued()))
        except OSError as error:  # the segment grows beyond its usual length instead
            logger.debug("No new journal segment: %s", error)
        return True

    def is_full(self) -> bool:
        """Return whether the journal has reached its limit; checks the disk once per second."""
        if self._writer and time.monotonic() > self._checked_at + LIMIT_CHECK_SECONDS:
            self._checked_at = time.monotonic()
            self._full = self._writer.bytes_on_disk() >= self._limit_bytes
        return self._full

    def end_in_reserve(self, payloads: list[bytes]) -> None:
        """End the journal with *payloads*, in the space reserved for them; raises OSError."""
        if not (self._writer and self._reserve):
            raise OSError(self.trouble)
        self._writer.end_in(self._reserve, [*self._resumption, *payloads])

    def close(self) -> None:
        """Close the journal and release the reserved space."""
        if self._writer:
            self._writer.close()
        if self._reserve:
            self._reserve.release()
        self._writer = self._reserve = None

    def _whole_writer(self) -> Writer:
        """Return the journal's writer; that of a new journal if ours was removed."""
        if self._writer and self._writer.is_gone():
            self._start_over()
        if self._reserve is None:
            self._reserve = Reserve(self.directory, self.journal)
        if self._writer is None:
            segment_bytes = min(SEGMENT_BYTES, self._limit_bytes // 8)
            self._writer = Writer(self.directory, self._header, segment_bytes)
        return self._writer

    def _start_over(self) -> None:
        logger.error(
            "The journal in %s was removed while in use: samples not yet delivered are lost",
            self.directory,
        )
        self.close()
        self.removed += 1
        resumed = Resumed(self._run, self._header.worker, clock.now(), self.journal)
        self._header = msgspec.structs.replace(self._header, journal=uuid4().hex)
        self._resumption = [encoded(resumed), *self.opening]
