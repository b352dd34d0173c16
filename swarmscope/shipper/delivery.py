"""Delivers one journal: what stands in it, once each, whatever happens in between.

Every transaction moves the journal's position in the database together with the rows up to it, so a
shipper that takes over, after a crash or beside another one, goes on exactly there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from swarmscope.journal.records import End, Event, Record, RunStopped, Samples, WorkerStopped
from swarmscope.journal.segments import (
    Frame,
    Header,
    JournalError,
    Reader,
    Segment,
    Tail,
    following,
    is_locked,
    is_stillborn,
    records_in,
    segments_of,
)
from swarmscope.redaction import scrub_text
from swarmscope.runs.histogram import Window
from swarmscope.runs.schema.maintenance import compact
from swarmscope.shipper import binary_copy
from swarmscope.shipper.apply import apply, bury, moment
from swarmscope.shipper.batch import MOST_ENDPOINTS, UNREADABLE, Batch, Course, decode
from swarmscope.shipper.quarantine import REFUSALS, Refusal, Sieve, copy_requests
from swarmscope.shipper.windows import Key, Windows

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

MOST_ROWS = 25_000  # a transaction
DAMAGED_SUFFIX = ".damaged"


class Overtaken(Exception):
    """Another shipper delivered a part of this journal in the meantime."""


@dataclass
class Delivery:
    """The state of one journal's delivery. `position` is None until the database was asked."""

    directory: Path
    journal: str
    header: Header
    position: int | None = None
    finished: bool = False
    alive: bool = True
    size: int = 0  # bytes there are
    caught_up: float = field(default_factory=time.time)  # when all that there was had been shipped
    shipped_now: int = 0  # samples, by the last call of `ship`
    ended_now: bool = False  # whether that delivered the end of something
    _courses: dict[str, Course] = field(default_factory=dict)
    _windows: Windows = field(default_factory=Windows)
    _damaged: set[Path] = field(default_factory=set)
    _refused: dict[int, Refusal] = field(default_factory=dict)  # by the position after the record
    _run: str = ""  # that the journal spoke of last

    @property
    def id(self) -> UUID:
        """The journal's id."""
        return UUID(hex=self.journal)

    def ship(self, connection: Connection) -> bool:
        """Deliver one batch; tell whether more is there already.

        Raises psycopg.Error when that failed; nothing of the batch is in the database then, or all
        of it, and the next call finds out which.
        """
        self.shipped_now, self.ended_now = 0, False
        if not self._files():  # another shipper had the last of it
            self.finished = True
            return False
        try:
            if self.position is None:
                self._claim(connection)
            if self.finished:
                return self._clear(connection)
            return self._ship_batch(connection)
        except REFUSALS:
            began, self.position = self.position, None
            if began is None or not self._sift(connection, began):
                raise
            return True
        except BaseException:
            self.position = None
            raise

    def _files(self) -> list[Segment]:
        """Return the journal's segments that there are at this moment."""
        return segments_of(self.journal, self.directory)

    def _claim(self, connection: Connection) -> None:
        """Learn how far the journal was delivered, and which windows still fill."""
        with connection.transaction():
            connection.execute(
                "INSERT INTO journal (id, worker, host, pid) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (self.id, self.header.worker, self.header.host, self.header.pid),
            )
            found = connection.execute(
                "SELECT position, finished FROM journal WHERE id = %s FOR UPDATE", (self.id,)
            ).fetchone()
            assert found
            self._windows = Windows(_open_windows(connection, self.id))
            self._courses = _courses(connection, self.id)
            self._run = _latest_run(connection, self.id)
        self.position, self.finished = found

    def _clear(self, connection: Connection) -> bool:
        """Delete what is left of a finished journal; return whether it holds more than was shipped.

        Then it is taken up again: what nobody has read is not deleted.
        """
        files = self._files()
        self._delete(file for file in files if self._is_delivered(file))
        if all(map(self._is_delivered, files)):
            return False
        connection.execute("UPDATE journal SET finished = false WHERE id = %s", (self.id,))
        self.finished = False
        return True

    def _sift(self, connection: Connection, began: int) -> bool:
        """Find what the database refuses of the batch that begins there; tell whether any is new.

        The next batch leaves it out.
        """
        known = len(self._refused)
        sieve = Sieve(connection, self.id, self.header, self._last_seen().timestamp())
        size = 0
        with connection.transaction(force_rollback=True):
            for end, record in self._records(began):
                if end not in self._refused and (refusal := sieve.refusal(record)):
                    self._refused[end] = refusal
                    self._tell_of_refusal(record, refusal)
                size += len(record.rows) if isinstance(record, Samples) else 0
                if size >= MOST_ROWS:
                    break
        return len(self._refused) > known

    def _tell_of_refusal(self, record: Record, refusal: Refusal) -> None:
        what = f"{count} samples" if (count := len(refusal.samples)) else type(record).__name__
        logger.error(
            "%s of %s dropped, the database refuses what is in there: %s",
            *(what, self.header.worker, refusal.reason),
        )

    def _records(self, begin: int) -> Iterator[tuple[int, Record]]:
        """Yield what can be read from the position *begin* on, with the position after it."""
        for segment in self._files():
            with suppress(EOFError, JournalError), Reader(segment.path) as reader:
                base = reader.header.base
                offset = max(begin - base, reader.header_end)
                for frame in reader.surviving(offset, Tail.NONE):
                    if isinstance(frame, Frame):
                        with suppress(*UNREADABLE):  # that is damage, and told elsewhere
                            yield base + frame.end, decode(frame.payload)

    def _ship_batch(self, connection: Connection) -> bool:
        assert self.position is not None
        passage = Passage(self.position)
        if self._has_news():
            batch = Batch(self.header.host, self.header.pid, self._courses)
            ended = self._write(connection, batch, passage)
            self.position, self.shipped_now = passage.position, batch.size
            self._refused.clear()
            self.ended_now = bool(ended)
            for record in batch.others:
                if isinstance(record, WorkerStopped) and self._courses[record.run].stopped:
                    self._courses[record.run] = Course(stopped=True)  # the rest is no more needed
            self._delete(passage.passed)
            for run in ended:
                compact(connection, run)
        if not passage.more:
            self.caught_up = time.time()
        self.finished = passage.over
        return passage.more

    def _has_news(self) -> bool:
        """Tell whether the journal is longer than what was delivered, or has ended."""
        files = self._files()
        if len(files) != 1 or not is_locked(files[0].path):
            return True
        try:
            with Reader(files[0].path) as reader:
                self.size = reader.header.base + reader.size()
        except (EOFError, JournalError):
            return True
        return self.size > (self.position or 0)

    def _read(self, batch: Batch, passage: Passage) -> None:
        """Fill *batch* with what follows the passage's position."""
        segment = next(iter(self._files()), None)
        while segment and self._read_segment(batch, passage, segment):
            passage.passed.append(segment)
            segment = following(segment)
        passage.over = passage.died or passage.ended

    def _read_segment(self, batch: Batch, passage: Passage, segment: Segment) -> bool:
        """Read on in *segment*; return whether nothing more will ever come from it."""
        self.alive = is_locked(segment.path)  # before all else, so that nothing comes in between
        successor = following(segment)
        try:
            reader = Reader(segment.path)
        except EOFError:
            if successor is None or self.alive:
                passage.died = is_stillborn(segment.path)
                return passage.died
            self._note_damage(passage, segment.path, "all of it is lost: it has no header")
            return True
        except JournalError as error:
            if self.alive:  # it may go on in another segment
                return False
            self._note_damage(passage, segment.path, f"all of it is lost: {error}")
            passage.died = successor is None
            return True
        with reader:
            self.size = reader.header.base + reader.size()
            self._note_gap(passage, reader)
            self._read_frames(batch, passage, reader, self._tail(successor))
        if passage.more:
            return False
        if self.alive:
            return passage.ended or (
                successor is not None and _begins_at(successor, passage.position)
            )
        passage.position = max(passage.position, self.size)  # a torn tail stays torn
        passage.died = successor is None and not passage.ended
        return True

    def _tail(self, successor: Segment | None) -> Tail:
        if self.alive:
            return Tail.GROWS
        return Tail.NONE if successor else Tail.TORN

    def _read_frames(self, batch: Batch, passage: Passage, reader: Reader, tail: Tail) -> None:
        """Take frames until the batch is full or the segment has no more."""
        base = reader.header.base
        offset = max(passage.position - base, reader.header_end)
        for frame in reader.surviving(offset, tail):
            if not isinstance(frame, Frame):
                self._note_damage(passage, reader.path, f"a part of it is lost: {frame}")
                continue
            self._take(batch, passage, reader.path, frame.payload, base + frame.end)
            passage.position = base + frame.end
            if batch.size >= MOST_ROWS:
                passage.more = True
                return

    def _take(self, batch: Batch, passage: Passage, path: Path, payload: bytes, end: int) -> None:
        try:
            record = decode(payload)
        except UNREADABLE as error:
            self._note_damage(passage, path, f"a record is lost: {error}")
            return
        passage.ended = isinstance(record, End)
        self._run = getattr(record, "run", self._run)
        refusal = self._refused.get(end)
        for part in refusal.instead(record) if refusal else (record,):
            batch.take(part)

    def _note_damage(self, passage: Passage, path: Path, what: str) -> None:
        if path not in self._damaged:
            self._damaged.add(path)
            logger.error("%s is damaged and will be kept: %s", path, what)
            with suppress(OSError):  # at once, whatever becomes of this process
                os.link(path, path.with_suffix(DAMAGED_SUFFIX))
        self._run = self._run or _run_in(path)
        text = f"samples of {self.header.worker} may be lost, {path.name} is damaged: {what}"
        self._note_loss(passage, path, text)

    def _note_gap(self, passage: Passage, reader: Reader) -> None:
        """Note that segments before this one are missing, unless damage explains it."""
        missing = reader.header.base - passage.position
        if missing > 0 and not passage.losses:
            worker = self.header.worker
            text = f"samples of {worker} are lost: {missing:,} bytes of its journal are gone"
            logger.error("%s, before %s", text, reader.path)
            self._note_loss(passage, reader.path, text)
        passage.position = max(passage.position, reader.header.base)

    def _note_loss(self, passage: Passage, path: Path, text: str) -> None:
        event = Event(self._run, "samples_dropped", path.stat().st_mtime, text)
        passage.losses.setdefault(path, event)

    def _tell_of_losses(self, connection: Connection, passage: Passage) -> None:
        """Store them with the run that was on there, or else with the one after it."""
        for event in passage.losses.values():
            event.run = event.run or self._run
            if event.run and not _is_told(connection, event):
                apply(event, connection, self.id)

    def _write(self, connection: Connection, batch: Batch, passage: Passage) -> set[str]:
        """Store the batch; return the runs that something ended in."""
        with connection.transaction():
            held = connection.execute(
                "SELECT position, finished FROM journal WHERE id = %s FOR UPDATE", (self.id,)
            ).fetchone()
            if held != (self.position, False):
                raise Overtaken
            # both then take a core of their own: the database stores while we read on
            copy_requests(connection, batch, lambda: self._read(batch, passage))
            self._write_tallies(connection, batch)  # first: a stop record counts what is missing
            for record in batch.others:
                apply(record, connection, self.id)
            self._tell_of_losses(connection, passage)
            self._write_windows(connection, batch, passage)
            for run in batch.crowded():
                apply(self._note_of_crowd(run), connection, self.id)
            touched = {r.run for r in batch.others if isinstance(r, RunStopped | WorkerStopped)}
            if passage.died:
                touched.update(bury(connection, self.id, self.header.worker, self._last_seen()))
            for run in touched:
                connection.execute(
                    "SELECT refresh_summary(id) FROM testrun WHERE id = %s AND status <> 'running'",
                    (run,),
                )
            connection.execute(
                "UPDATE journal SET position = %s, finished = %s, updated = now() WHERE id = %s",
                (passage.position, passage.over, self.id),
            )
        return touched

    def _write_tallies(self, connection: Connection, batch: Batch) -> None:
        for run, tally in batch.tallies.items():
            connection.execute(
                "INSERT INTO run_worker AS w (run_id, worker, journal_id, samples, implausible,"
                " corrected, after_stop) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (run_id, worker) DO UPDATE SET journal_id = excluded.journal_id,"
                " samples = w.samples + excluded.samples,"
                " implausible = w.implausible + excluded.implausible,"
                " corrected = w.corrected + excluded.corrected,"
                " after_stop = w.after_stop + excluded.after_stop",
                (run, self.header.worker, self.id, *astuple(tally)),
            )

    def _write_windows(self, connection: Connection, batch: Batch, passage: Passage) -> None:
        latest = 0
        for key, window in batch.windows():
            self._windows.add(key, window)
            latest = max(latest, key.time)
        now = float("inf") if passage.over else latest
        closed = list(self._windows.close(now))
        if not latest and not closed:
            return
        connection.execute("DELETE FROM histogram_open WHERE journal_id = %s", (self.id,))
        self._copy_windows(connection, "histogram_closed", closed)
        self._copy_windows(connection, "histogram_open", self._windows.open.items())

    def _copy_windows(
        self, connection: Connection, table: str, windows: Iterable[tuple[Key, Window]]
    ) -> None:
        content = [binary_copy.window_row(self.id, key, window) for key, window in windows]
        if content:
            into = binary_copy.copy_into(table, binary_copy.WINDOW_COLUMNS)
            with connection.cursor().copy(into) as copy:
                copy.write(b"".join((binary_copy.BEGIN, *content, binary_copy.END)))

    def _note_of_crowd(self, run: str) -> Event:
        text = (
            f"{self.header.worker} sent requests of more than {MOST_ENDPOINTS:,} names:"
            " the others have one histogram together"
        )
        return Event(run, "note", time.time(), text)

    def _last_seen(self) -> datetime:
        """Return when the journal was last written to, by this machine's clock."""
        files = self._files()
        return moment(max(file.path.stat().st_mtime for file in files))

    def _delete(self, passed: Iterable[Segment]) -> None:
        """Delete segments that are in the database, but keep damaged ones under another name."""
        for segment in passed:
            kept = segment.path.with_suffix(DAMAGED_SUFFIX)
            if segment.path in self._damaged and not kept.exists():  # where there are no links
                segment.path.rename(kept)
            elif segment.path in self._damaged or self._is_delivered(segment):
                segment.path.unlink(missing_ok=True)

    def _is_delivered(self, segment: Segment) -> bool:
        """Return whether all of *segment* is in the database, or nothing will ever be in it."""
        try:
            with Reader(segment.path) as reader:
                return reader.header.base + reader.size() <= (self.position or 0)
        except FileNotFoundError:  # another shipper has deleted it
            return True
        except EOFError:
            return is_stillborn(segment.path)
        except JournalError:
            return False


@dataclass
class Passage:
    """How far a batch goes in the journal, and what was found there."""

    position: int
    more: bool = False  # the batch is full, the journal goes on
    over: bool = False  # the journal has ended
    ended: bool = False  # in order
    died: bool = False  # it ended without saying so
    passed: list[Segment] = field(default_factory=list)  # read to their ends
    losses: dict[Path, Event] = field(default_factory=dict)  # one of a file


def _begins_at(segment: Segment, position: int) -> bool:
    """Tell whether a living writer has gone on in *segment*; until then it may turn back."""
    try:
        with Reader(segment.path) as reader:
            return reader.header.base <= position
    except (EOFError, JournalError):
        return False


def _run_in(path: Path) -> str:
    """Return the run of the first whole record in a damaged file; '' where there is none."""
    for _, payload in records_in(path.read_bytes()):
        with suppress(*UNREADABLE):
            if run := getattr(decode(payload), "run", ""):
                return str(run)
    return ""


def _is_told(connection: Connection, event: Event) -> bool:
    """Return whether the run has this event already: a transaction before may have stored it."""
    found = connection.execute(
        "SELECT FROM events WHERE run_id = %s AND kind = %s AND text = %s LIMIT 1",
        (event.run, event.kind, scrub_text(event.text)),
    )
    return found.fetchone() is not None


def _open_windows(connection: Connection, journal: UUID) -> list[tuple[Key, Window]]:
    found = connection.execute(
        "SELECT run_text(run_id), resolution, extract(epoch FROM time)::bigint, name,"
        " request_type, part, count, failures, sum_ms, max_ms, buckets, counts"
        " FROM histogram_open WHERE journal_id = %s",
        (journal,),
    )
    return [(Key(*row[:6]), Window.of(*row[6:])) for row in found]


def _latest_run(connection: Connection, journal: UUID) -> str:
    """Return the run that the journal was last known to speak of; empty when there is none."""
    found = connection.execute(
        "SELECT run_text(greatest((SELECT max(run_id) FROM run_worker WHERE journal_id = %(id)s),"
        " (SELECT max(id) FROM testrun WHERE journal_id = %(id)s)))",
        {"id": journal},
    ).fetchone()
    return found[0] or "" if found else ""


def _courses(connection: Connection, journal: UUID) -> dict[str, Course]:
    """Return what is to be remembered of the journal's runs.

    Of those that may go on, that is the endpoints that have histograms of their own.
    """
    stopped = connection.execute(
        "SELECT run_text(run_id) FROM run_worker WHERE journal_id = %s AND stopped IS NOT NULL",
        (journal,),
    )
    courses = {run: Course(stopped=True) for (run,) in stopped}
    found = connection.execute(
        "SELECT DISTINCT run_text(h.run_id), name, request_type FROM histogram h"
        " JOIN run_worker w ON w.run_id = h.run_id AND w.journal_id = %s AND w.stopped IS NULL"
        " WHERE h.journal_id = %s AND resolution = 60 AND part = 'total' AND name <> ''",
        (journal, journal),
    )
    endpoints: dict[str, set[tuple[str, str]]] = {}
    for run, name, method in found:
        endpoints.setdefault(run, set()).add((name, method))
    return courses | {run: Course(names) for run, names in endpoints.items()}
