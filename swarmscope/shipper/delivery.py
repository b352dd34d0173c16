"""Delivers one journal to the runs database: every record once, whatever fails in between.

Each transaction moves the journal's position in the database together with the rows up to it. So a
shipper that takes over, after a crash or beside another one, continues exactly there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any
from uuid import UUID

from swarmscope.journal.format import Header
from swarmscope.journal.records import Event, RunStopped, Samples, WorkerStopped
from swarmscope.redaction import scrub_text
from swarmscope.runs.connection import Connection
from swarmscope.runs.histogram import Window
from swarmscope.runs.schema.maintenance import compact
from swarmscope.shipper import binary_copy
from swarmscope.shipper.apply import apply, apply_death
from swarmscope.shipper.batch import MAX_ENDPOINTS, Batch, RunState
from swarmscope.shipper.quarantine import DATA_ERRORS, Quarantine, copy_requests
from swarmscope.shipper.reading import MAX_ROWS, JournalReader, ReadResult, is_delivered
from swarmscope.shipper.windows import Key, Windows


class Overtaken(Exception):
    """Another shipper has delivered a part of this journal in the meantime."""


class Delivery:
    """The delivery of one journal: where it is in the database, and what is kept between batches.

    `position` counts the bytes delivered; None until it has been read from the database.
    """

    def __init__(self, directory: Path, journal: str, header: Header) -> None:
        self.journal = journal
        self.position: int | None = None
        self.finished = False
        self.caught_up = time.time()  # when nothing was left to deliver
        self.delivered = 0  # samples, by the last call of `ship`
        self.run_ended = False  # whether the last call of `ship` delivered the end of something
        self._id = UUID(hex=journal)
        self._header = header
        self._reader = JournalReader(directory, journal, header.worker)
        self._runs: dict[str, RunState] = {}
        self._windows = Windows()

    def ship(self, connection: Connection) -> bool:
        """Deliver one batch; return whether there is more already.

        Raises psycopg.Error on failure: the batch is in the database as a whole or not at all, and
        the next call finds out which. Raises `Overtaken` where another shipper was faster.
        """
        self.delivered, self.run_ended = 0, False
        if not self._reader.segments():  # another shipper has delivered the rest
            self.finished = True
            return False
        try:
            if self.position is None:
                self._restore(connection)
            if self.finished:
                return self._delete_finished(connection)
            return self._ship_batch(connection)
        except DATA_ERRORS:
            begin, self.position = self.position, None
            if begin is None or not self._quarantine(connection, begin):
                raise
            return True
        except BaseException:
            self.position = None
            raise

    def _restore(self, connection: Connection) -> None:
        """Register the journal, or read how far it was delivered and which windows are open."""
        with connection.transaction():
            connection.execute(
                "INSERT INTO journal (id, worker, host, pid) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (self._id, self._header.worker, self._header.host, self._header.pid),
            )
            found = self._locked_position(connection)
            self._windows = Windows(_open_windows(connection, self._id))
            self._runs = _run_states(connection, self._id)
            self._reader.run = _latest_run(connection, self._id)
        self.position, self.finished = found

    def _locked_position(self, connection: Connection) -> Any:
        """Return position and end of the journal in the database; lock its row."""
        return connection.execute(
            "SELECT position, finished FROM journal WHERE id = %s FOR UPDATE", (self._id,)
        ).fetchone()

    def _delete_finished(self, connection: Connection) -> bool:
        """Delete what is left of a finished journal; return whether its writer has continued.

        If so the journal is delivered further: nothing is deleted unread.
        """
        segments, position = self._reader.segments(), self.position or 0
        delivered = [segment for segment in segments if is_delivered(segment, position)]
        self._reader.delete(delivered, position)
        if len(delivered) == len(segments):
            return False
        connection.execute("UPDATE journal SET finished = false WHERE id = %s", (self._id,))
        self.finished = False
        return True

    def _quarantine(self, connection: Connection, begin: int) -> bool:
        """Find what the database rejects in the batch at *begin*; return whether any of it is new.

        The next batch leaves it out.
        """
        rejected, size = self._reader.rejected, 0
        known = len(rejected)
        now = self._reader.last_write()
        quarantine = Quarantine(connection, self._id, self._header, now)
        with connection.transaction(force_rollback=True):
            for end, record in self._reader.records(begin):
                if end not in rejected and (rejection := quarantine.check(record)):
                    rejected[end] = rejection
                size += len(record.rows) if isinstance(record, Samples) else 0
                if size >= MAX_ROWS:
                    break
        return len(rejected) > known

    def _ship_batch(self, connection: Connection) -> bool:
        assert self.position is not None
        result = ReadResult(self.position)
        if self._reader.has_news(self.position):
            batch = Batch(self._header.host, self._header.pid, self._runs)
            ended = self._write(connection, batch, result)
            self.position, self.delivered = result.position, batch.size
            self._reader.rejected.clear()
            self.run_ended = bool(ended)
            for record in batch.others:
                if isinstance(record, WorkerStopped) and self._runs[record.run].stopped:
                    self._runs[record.run] = RunState(stopped=True)  # frees the rest
            self._reader.delete(result.completed, result.position)
            for run in ended:
                compact(connection, run)
        if not result.more:
            self.caught_up = time.time()
        self.finished = result.finished
        return result.more

    def _write(self, connection: Connection, batch: Batch, result: ReadResult) -> set[str]:
        """Read and store a batch in one transaction; return the runs that something ended in."""
        with connection.transaction():
            if self._locked_position(connection) != (self.position, False):
                raise Overtaken
            # the server stores rows on a core of its own while this process reads on
            copy_requests(connection, batch, lambda: self._reader.read(batch, result))
            self._write_counts(connection, batch)  # before a stop record counts what is missing
            for record in batch.others:
                apply(record, connection, self._id)
            self._write_losses(connection, result)
            self._write_windows(connection, batch, result)
            for run in batch.overflowed():
                apply(self._overflow_note(run), connection, self._id)
            ended = self._end_runs(connection, batch, result)
            connection.execute(
                "UPDATE journal SET position = %s, finished = %s, updated = now() WHERE id = %s",
                (result.position, result.finished, self._id),
            )
        return ended

    def _end_runs(self, connection: Connection, batch: Batch, result: ReadResult) -> set[str]:
        """Refresh the summaries of the runs that something ended in; return these runs."""
        ended = {r.run for r in batch.others if isinstance(r, RunStopped | WorkerStopped)}
        if result.died:
            last_seen = self._reader.last_write()
            ended.update(apply_death(connection, self._id, self._header.worker, last_seen))
        for run in ended:
            connection.execute(
                "SELECT refresh_summary(id) FROM testrun WHERE id = %s AND status <> 'running'",
                (run,),
            )
        return ended

    def _write_losses(self, connection: Connection, result: ReadResult) -> None:
        """Store losses with the run they were found in, or else with the next one."""
        for event in result.losses.values():
            event.run = event.run or self._reader.run
            if event.run and not _is_stored(connection, event):
                apply(event, connection, self._id)

    def _write_counts(self, connection: Connection, batch: Batch) -> None:
        for run, counts in batch.counts.items():
            connection.execute(
                "INSERT INTO run_worker AS w (run_id, worker, journal_id, samples, clock_skewed,"
                " corrected, after_stop) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (run_id, worker) DO UPDATE SET journal_id = excluded.journal_id,"
                " samples = w.samples + excluded.samples,"
                " clock_skewed = w.clock_skewed + excluded.clock_skewed,"
                " corrected = w.corrected + excluded.corrected,"
                " after_stop = w.after_stop + excluded.after_stop",
                (run, self._header.worker, self._id, *astuple(counts)),
            )

    def _write_windows(self, connection: Connection, batch: Batch, result: ReadResult) -> None:
        windows = dict(batch.windows())
        self._windows.add(windows)
        latest = max((key.time for key in windows), default=0)
        closed = list(self._windows.close(float("inf") if result.finished else latest))
        if not latest and not closed:
            return
        connection.execute("DELETE FROM histogram_open WHERE journal_id = %s", (self._id,))
        self._copy_windows(connection, "histogram_closed", closed)
        self._copy_windows(connection, "histogram_open", self._windows.open.items())

    def _copy_windows(
        self, connection: Connection, table: str, windows: Iterable[tuple[Key, Window]]
    ) -> None:
        content = [binary_copy.window_row(self._id, key, window) for key, window in windows]
        if content:
            into = binary_copy.copy_into(table, binary_copy.WINDOW_COLUMNS)
            with connection.cursor().copy(into) as copy:
                copy.write(b"".join((binary_copy.BEGIN, *content, binary_copy.END)))

    def _overflow_note(self, run: str) -> Event:
        text = (
            f"{self._header.worker} sent requests with more than {MAX_ENDPOINTS:,} names: the"
            " rest share one histogram"
        )
        return Event(run, "note", time.time(), text)


def _is_stored(connection: Connection, event: Event) -> bool:
    """Return whether the run has this event already: an earlier batch may have found it, too."""
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
    """Return the latest run that the journal has stored anything of; empty if there is none."""
    found = connection.execute(
        "SELECT run_text(greatest((SELECT max(run_id) FROM run_worker WHERE journal_id = %(id)s),"
        " (SELECT max(id) FROM testrun WHERE journal_id = %(id)s)))",
        {"id": journal},
    ).fetchone()
    return found[0] or "" if found else ""


def _run_states(connection: Connection, journal: UUID) -> dict[str, RunState]:
    """Return the state of the journal's runs: whether stopped, else their endpoints so far."""
    stopped = connection.execute(
        "SELECT run_text(run_id) FROM run_worker WHERE journal_id = %s AND stopped IS NOT NULL",
        (journal,),
    )
    states = {run: RunState(stopped=True) for (run,) in stopped}
    found = connection.execute(
        "SELECT DISTINCT run_text(h.run_id), name, request_type FROM histogram h"
        " JOIN run_worker w ON w.run_id = h.run_id AND w.journal_id = %s AND w.stopped IS NULL"
        # not of 60 s: those of running runs are joined
        " WHERE h.journal_id = %s AND resolution = 10 AND part = 'response' AND name <> ''",
        (journal, journal),
    )
    endpoints: dict[str, set[tuple[str, str]]] = {}
    for run, name, method in found:
        endpoints.setdefault(run, set()).add((name, method))
    return states | {run: RunState(names) for run, names in endpoints.items()}
