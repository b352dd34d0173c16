"""Delivers one journal: what stands in it, once each, whatever happens in between.

Every transaction moves the journal's position in the database together with the rows up to it, so a
shipper that takes over, after a crash or beside another one, goes on exactly there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from swarmscope.client import rows
from swarmscope.client.batch import MOST_ENDPOINTS, UNREADABLE, Batch, Course, decode
from swarmscope.client.journal import Header, JournalError, Reader, Segment, is_locked, segments
from swarmscope.client.records import End, Event, Record, RunStopped, Samples, WorkerStopped
from swarmscope.client.sieve import REFUSALS, Refusal, Sieve, copy_requests
from swarmscope.client.statements import apply, bury, moment
from swarmscope.client.windows import Key, Window, Windows
from swarmscope.runs.compaction import compact

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

MOST_ROWS = 25_000  # a transaction
NEWBORN_SECONDS = 10.0  # a segment without a header after that will never get one
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
        if self.journal not in segments(self.directory):  # another shipper had the last of it
            self.finished = True
            return False
        try:
            if self.position is None:
                self._claim(connection)
            if self.finished:
                self._delete(segments(self.directory).get(self.journal, []))
                return False
            return self._ship_batch(connection)
        except REFUSALS:
            began, self.position = self.position, None
            if began is None or not self._sift(connection, began):
                raise
            return True
        except BaseException:
            self.position = None
            raise

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
        for segment in segments(self.directory).get(self.journal, []):
            try:
                with Reader(segment.path) as reader:
                    base = reader.header.base
                    for frame in reader.frames(max(begin - base, reader.header_end)):
                        with suppress(*UNREADABLE):  # that is damage, and told elsewhere
                            yield base + frame.end, decode(frame.payload)
            except (EOFError, JournalError):
                continue

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
                if isinstance(record, WorkerStopped):
                    self._courses.pop(record.run, None)
            self._delete(passage.passed)
            for run in ended:
                compact(connection, run)
        if not passage.more:
            self.caught_up = time.time()
        self.finished = passage.over
        return passage.more

    def _has_news(self) -> bool:
        """Tell whether the journal is longer than what was delivered, or has ended."""
        files = segments(self.directory).get(self.journal, [])
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
        files = segments(self.directory).get(self.journal, [])
        for segment, following in pairwise([*files, None]):
            assert segment
            if not self._read_segment(batch, passage, segment, following):
                return
            passage.passed.append(segment)
        passage.over = passage.died or passage.ended

    def _read_segment(
        self, batch: Batch, passage: Passage, segment: Segment, following: Segment | None
    ) -> bool:
        """Read on in *segment*; tell whether nothing more will ever come from it."""
        self.alive = is_locked(segment.path)  # before reading, so that nothing comes in between
        try:
            reader = Reader(segment.path)
        except EOFError:
            born = segment.path.stat().st_mtime
            passage.died = not self.alive and time.time() > born + NEWBORN_SECONDS
            return passage.died
        except JournalError as error:
            self._note_damage(passage, segment.path, f"all of it is lost: {error}")
            passage.died = following is None
            return True
        with reader:
            self.size = reader.header.base + reader.size()
            self._read_frames(batch, passage, reader)
        if passage.more or passage.ended:
            return passage.ended
        if not self.alive:  # a torn tail, if there is one, stays torn
            if passage.position < self.size and following:  # it was closed whole
                what = "the rest of it is lost: a record is cut off"
                self._note_damage(passage, segment.path, what)
            passage.position = max(passage.position, self.size)  # a delivered one may be left
            passage.died = following is None
            return True
        return following is not None and _begins_at(following, passage.position)

    def _read_frames(self, batch: Batch, passage: Passage, reader: Reader) -> None:
        """Take frames until the batch is full or the segment has no more."""
        base = reader.header.base
        try:
            for frame in reader.frames(max(passage.position - base, reader.header_end)):
                self._take(batch, passage, reader.path, frame.payload, base + frame.end)
                passage.position = base + frame.end
                if batch.size >= MOST_ROWS:
                    passage.more = True
                    return
        except JournalError as error:  # nobody knows where the next record would begin
            self._note_damage(passage, reader.path, f"the rest of it is lost: {error}")
            passage.position = max(passage.position, self.size)

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
        text = f"samples of {self.header.worker} may be lost, {path.name} is damaged: {what}"
        event = Event(self._run, "samples_dropped", path.stat().st_mtime, text)
        passage.damaged.setdefault(path, event)

    def _tell_of_damage(self, connection: Connection, passage: Passage) -> None:
        """Let the run know that was on where a file is damaged, or else the one after it."""
        for event in passage.damaged.values():
            if run := event.run or self._run:
                apply(msgspec.structs.replace(event, run=run), connection, self.id)

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
            for record in batch.others:
                apply(record, connection, self.id)
            self._tell_of_damage(connection, passage)
            self._write_tallies(connection, batch)
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
                "INSERT INTO run_worker (run_id, worker, journal_id, samples, implausible)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (run_id, worker) DO UPDATE SET"
                " journal_id = excluded.journal_id,"
                " samples = run_worker.samples + excluded.samples,"
                " implausible = run_worker.implausible + excluded.implausible",
                (run, self.header.worker, self.id, tally.samples, tally.implausible),
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
        content = [rows.window_row(self.id, key, window) for key, window in windows]
        if content:
            with connection.cursor().copy(rows.copy_into(table, rows.WINDOW_COLUMNS)) as copy:
                copy.write(b"".join((rows.BEGIN, *content, rows.END)))

    def _note_of_crowd(self, run: str) -> Event:
        text = (
            f"{self.header.worker} sent requests of more than {MOST_ENDPOINTS:,} names:"
            " the others have one histogram together"
        )
        return Event(run, "note", time.time(), text)

    def _last_seen(self) -> datetime:
        """Return when the journal was last written to, by this machine's clock."""
        files = segments(self.directory).get(self.journal, [])
        return moment(max(file.path.stat().st_mtime for file in files))

    def _delete(self, delivered: Iterable[Segment]) -> None:
        """Delete segments, but keep what is damaged under another name."""
        for segment in delivered:
            if segment.path in self._damaged:
                segment.path.rename(segment.path.with_suffix(DAMAGED_SUFFIX))
            else:
                segment.path.unlink(missing_ok=True)


@dataclass
class Passage:
    """How far a batch goes in the journal, and what was found there."""

    position: int
    more: bool = False  # the batch is full, the journal goes on
    over: bool = False  # the journal has ended
    ended: bool = False  # in order
    died: bool = False  # it ended without saying so
    passed: list[Segment] = field(default_factory=list)  # read to their ends
    damaged: dict[Path, Event] = field(default_factory=dict)


def _begins_at(segment: Segment, position: int) -> bool:
    """Tell whether a living writer has gone on in *segment*; until then it may turn back."""
    try:
        with Reader(segment.path) as reader:
            return reader.header.base <= position
    except (EOFError, JournalError):
        return False


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
    """Return, for runs that may go on, the endpoints that have histograms of their own."""
    found = connection.execute(
        "SELECT DISTINCT run_text(h.run_id), name, request_type FROM histogram h"
        " JOIN run_worker w ON w.run_id = h.run_id AND w.journal_id = %s AND w.stopped IS NULL"
        " WHERE h.journal_id = %s AND resolution = 60 AND part = 'total' AND name <> ''",
        (journal, journal),
    )
    endpoints: dict[str, set[tuple[str, str]]] = {}
    for run, name, method in found:
        endpoints.setdefault(run, set()).add((name, method))
    return {run: Course(names) for run, names in endpoints.items()}
