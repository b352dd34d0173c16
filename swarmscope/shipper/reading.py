"""Reads one journal from its segments, batch by batch, and deletes what has been delivered.

What is damaged or missing is reported and skipped: it never stops the rest of the journal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from swarmscope.journal.format import JournalError, records_in
from swarmscope.journal.reader import Frame, Reader, Tail
from swarmscope.journal.records import End, Event, Record
from swarmscope.journal.segments import Segment, is_abandoned, is_locked, next_segment, segments_of
from swarmscope.shipper.batch import UNREADABLE, Batch, decode
from swarmscope.shipper.quarantine import Rejection

logger = logging.getLogger(__name__)

MAX_ROWS = 25_000  # in one transaction
DAMAGED_SUFFIX = ".damaged"


@dataclass
class ReadResult:
    """How far a batch got in its journal, and what was found on the way."""

    position: int
    more: bool = False  # the batch is full and the journal continues
    closed: bool = False  # the last record was `End`
    died: bool = False  # the writer died before it wrote one
    completed: list[Segment] = field(default_factory=list)  # read to their ends
    losses: dict[Path, Event] = field(default_factory=dict)  # one per file

    @property
    def finished(self) -> bool:
        """Whether nothing more will ever be written to the journal."""
        return self.closed or self.died


@dataclass
class JournalReader:
    """Reads the segments of one journal, written by *worker*."""

    directory: Path
    journal: str
    worker: str
    run: str = ""  # the run that the last record belonged to
    rejected: dict[int, Rejection] = field(default_factory=dict)  # by the position after the record
    _damaged: set[Path] = field(default_factory=set)

    def segments(self) -> list[Segment]:
        """Return the segments that exist now, in order."""
        return segments_of(self.journal, self.directory)

    def last_write(self) -> float:
        """Return when (Unix s) the journal was last written to, by this machine's clock."""
        return max(segment.path.stat().st_mtime for segment in self.segments())

    def has_news(self, position: int) -> bool:
        """Return whether the journal is longer than *position*, or has ended."""
        found = self.segments()
        if len(found) != 1 or not is_locked(found[0].path):
            return True
        try:
            with Reader(found[0].path) as reader:
                return reader.end() > position
        except (EOFError, JournalError):
            return True

    def read(self, batch: Batch, result: ReadResult) -> None:
        """Fill *batch* with the records from the position of *result* on, and advance that."""
        segment = next(iter(self.segments()), None)
        while segment and self._read_segment(batch, result, segment):
            result.completed.append(segment)
            segment = next_segment(segment)

    def records(self, begin: int) -> Iterator[tuple[int, Record]]:
        """Yield all readable records from the position *begin* on, each with the one after it."""
        for segment in self.segments():
            with suppress(EOFError, JournalError), Reader(segment.path) as reader:
                base = reader.header.base
                offset = max(begin - base, reader.header_end)
                for frame in reader.recovered(offset, Tail.NONE):
                    if isinstance(frame, Frame):
                        with suppress(*UNREADABLE):  # `read` reports it
                            yield base + frame.end, decode(frame.payload)

    def delete(self, delivered: Iterable[Segment], position: int) -> None:
        """Delete *delivered* segments up to *position*; keep damaged ones under another name."""
        for segment in delivered:
            kept = segment.path.with_suffix(DAMAGED_SUFFIX)
            if segment.path in self._damaged and not kept.exists():  # no hard links here
                segment.path.rename(kept)
            elif segment.path in self._damaged or is_delivered(segment, position):
                segment.path.unlink(missing_ok=True)

    def _read_segment(self, batch: Batch, result: ReadResult, segment: Segment) -> bool:
        """Read on in *segment*; return whether it is complete: nothing more will come from it."""
        alive = is_locked(segment.path)  # before anything is read: else a late write is missed
        successor = next_segment(segment)
        try:
            reader = Reader(segment.path)
        except (EOFError, JournalError) as error:
            return not alive and self._skip(result, segment.path, successor, error)
        with reader:
            end = reader.end()
            self._note_gap(result, reader)
            tail = Tail.GROWS if alive else Tail.NONE if successor else Tail.TORN
            self._read_frames(batch, result, reader, tail)
        if result.more:
            return False
        if alive:
            return result.closed or (
                successor is not None and _begins_at(successor, result.position)
            )
        result.position = max(result.position, end)  # a torn tail stays torn
        result.died = successor is None and not result.closed
        return True

    def _skip(
        self, result: ReadResult, path: Path, successor: Segment | None, error: Exception
    ) -> bool:
        """Skip a dead writer's unreadable segment; return whether it will stay unreadable."""
        if isinstance(error, EOFError) and successor is None:
            result.died = is_abandoned(path)
            return result.died
        self._note_damage(result, path, f"all of it is lost: {error}")
        result.died = successor is None
        return True

    def _read_frames(self, batch: Batch, result: ReadResult, reader: Reader, tail: Tail) -> None:
        """Take records until the batch is full or the segment has no more."""
        base = reader.header.base
        offset = max(result.position - base, reader.header_end)
        for frame in reader.recovered(offset, tail):
            if not isinstance(frame, Frame):
                self._note_damage(result, reader.path, f"a part of it is lost: {frame}")
                continue
            self._take(batch, result, reader.path, frame.payload, base + frame.end)
            result.position = base + frame.end
            if batch.size >= MAX_ROWS:
                result.more = True
                return

    def _take(self, batch: Batch, result: ReadResult, path: Path, payload: bytes, end: int) -> None:
        try:
            record = decode(payload)
        except UNREADABLE as error:
            self._note_damage(result, path, f"a record is lost: {error}")
            return
        result.closed = isinstance(record, End)
        self.run = getattr(record, "run", self.run)
        rejection = self.rejected.get(end)
        for part in rejection.replace(record) if rejection else (record,):
            batch.take(part)

    def _note_damage(self, result: ReadResult, path: Path, what: str) -> None:
        if path not in self._damaged:
            self._damaged.add(path)
            logger.error("%s is damaged and will be kept: %s", path, what)
            with suppress(OSError):  # now: this process may be killed before it deletes the segment
                os.link(path, path.with_suffix(DAMAGED_SUFFIX))
        self.run = self.run or _run_in(path)
        text = f"samples of {self.worker} may be lost, {path.name} is damaged: {what}"
        self._note_loss(result, path, text)

    def _note_gap(self, result: ReadResult, reader: Reader) -> None:
        """Note that segments before this one are missing, unless damage explains it."""
        missing = reader.header.base - result.position
        if missing > 0 and not result.losses:
            text = f"samples of {self.worker} are lost: {missing:,} bytes of its journal are gone"
            logger.error("%s, before %s", text, reader.path)
            self._note_loss(result, reader.path, text)
        result.position = max(result.position, reader.header.base)

    def _note_loss(self, result: ReadResult, path: Path, text: str) -> None:
        event = Event(self.run, "samples_dropped", path.stat().st_mtime, text)
        result.losses.setdefault(path, event)


def is_delivered(segment: Segment, position: int) -> bool:
    """Return whether all of *segment* lies before *position*, or nothing can ever be read of it."""
    try:
        with Reader(segment.path) as reader:
            return reader.end() <= position
    except FileNotFoundError:  # another shipper has deleted it
        return True
    except EOFError:
        return is_abandoned(segment.path)
    except JournalError:
        return False


def _begins_at(segment: Segment, position: int) -> bool:
    """Return whether a live writer has moved on to *segment*; until then it may take it back."""
    try:
        with Reader(segment.path) as reader:
            return reader.header.base <= position
    except (EOFError, JournalError):
        return False


def _run_in(path: Path) -> str:
    """Return the run of the first whole record in a damaged file; empty if there is none."""
    for _, payload in records_in(path.read_bytes()):
        with suppress(*UNREADABLE):
            if run := getattr(decode(payload), "run", ""):
                return str(run)
    return ""
