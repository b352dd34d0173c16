"""Finds what the database rejects in a batch, so that the rest can be delivered without it.

Each record is tried on its own, in a transaction that is rolled back; the batch is then written
again without what was rejected. Known problems are fixed beforehand (`sanitize`); this handles the
rest, such as a journal that another program wrote.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import psycopg

from swarmscope.formatting import first_line
from swarmscope.journal.format import Header
from swarmscope.journal.records import Dropped, Event, Record, Samples
from swarmscope.runs.connection import Connection
from swarmscope.shipper import binary_copy
from swarmscope.shipper.apply import apply
from swarmscope.shipper.batch import Batch

logger = logging.getLogger(__name__)

DATA_ERRORS = (  # caused by what a record holds: a retry would fail the same way
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    ValueError,
    OverflowError,
    struct.error,
)
MAX_TRIALS = 200  # per block of samples; beyond, what is rejected is not divided further
MAX_REASON = 200  # characters


@dataclass(frozen=True)
class Rejection:
    """What is left out of a record: *samples* of a block, by their positions, or all of it.

    `notice` is stored instead; None where that is rejected, too.
    """

    samples: frozenset[int]
    notice: Record | None

    def replace(self, record: Record) -> Iterator[Record]:
        """Yield what to store in place of *record*."""
        if isinstance(record, Samples):
            kept = [n for n in range(len(record.rows)) if n not in self.samples]
            yield _only(record, kept)
        if self.notice:
            yield self.notice


class Quarantine:
    """Tries the records of one journal within a transaction of *connection*.

    *now* (Unix seconds) is the time of the notices.
    """

    def __init__(self, connection: Connection, journal: UUID, header: Header, now: float) -> None:
        self._connection = connection
        self._journal = journal
        self._header = header
        self._now = now
        self._trials = 0

    def check(self, record: Record) -> Rejection | None:
        """Log and return what the database rejects of *record*; None if it accepts all of it."""
        self._trials = 0
        if isinstance(record, Samples):
            reasons = self._rejected_samples(record, 0)
            reason = next(iter(reasons.values()), None)
        else:
            reasons, reason = {}, self._try(record)
        return self._reject(record, reason, frozenset(reasons)) if reason else None

    def _rejected_samples(self, block: Samples, first: int) -> dict[int, str]:
        """Return the reasons by the samples' positions, of which *first* is the block's first."""
        self._trials += 1
        reason, count = self._try(block), len(block.rows)
        if reason is None:
            return {}
        if count == 1 or self._trials >= MAX_TRIALS:
            return dict.fromkeys(range(first, first + count), reason)
        half = count // 2
        return self._rejected_samples(_only(block, range(half)), first) | self._rejected_samples(
            _only(block, range(half, count)), first + half
        )

    def _reject(self, record: Record, reason: str, samples: frozenset[int]) -> Rejection:
        run = getattr(record, "run", "")
        worker, count, kind = self._header.worker, len(samples), type(record).__name__
        because = f"the database rejects them: {reason}"
        notice: Record = Dropped(run, worker, self._now, count, because)
        if not count:
            text = f"a record ({kind}) of {worker} was dropped: {reason}"
            notice = Event(run, "note", self._now, text)
        what = f"{count} samples" if count else f"a record ({kind})"
        logger.error("Dropped %s of %s, rejected by the database: %s", what, worker, reason)
        return Rejection(samples, None if self._try(notice) else notice)

    def _try(self, record: Record) -> str | None:
        """Return why the database rejects *record*; None if it accepts it."""
        try:
            with self._connection.transaction():
                batch = Batch(self._header.host, self._header.pid, {})
                copy_requests(self._connection, batch, lambda: batch.take(record))
                for other in batch.others:
                    apply(other, self._connection, self._journal)
        except DATA_ERRORS as error:
            return first_line(error)[:MAX_REASON]
        return None


def copy_requests(connection: Connection, batch: Batch, fill: Callable[[], None]) -> None:
    """Call *fill*, which adds samples to *batch*; their rows go to the database meanwhile."""
    statement = binary_copy.copy_into("request", binary_copy.REQUEST_COLUMNS)
    with connection.cursor().copy(statement) as copy:
        copy.write(binary_copy.BEGIN)
        batch.sink = copy.write
        fill()
        batch.flush()
        copy.write(binary_copy.END)


def _only(block: Samples, positions: Sequence[int]) -> Samples:
    rows = [block.rows[n] for n in positions]
    delays = [block.start_delay_ms[n] for n in positions] if block.start_delay_ms else []
    return msgspec.structs.replace(block, rows=rows, start_delay_ms=delays)
