"""Finds what the database refuses of a batch, so that it holds up nothing else.

Each record is tried on its own, in a transaction that is undone: what was found is left out when
the batch is written again. All that is known to be refused is replaced beforehand (`storable`);
this is for the rest, such as what a journal of another program's making may hold.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from swarmscope.formatting import first_line
from swarmscope.journal.records import Dropped, Event, Record, Samples
from swarmscope.journal.segments import Header
from swarmscope.shipper import binary_copy
from swarmscope.shipper.apply import apply
from swarmscope.shipper.batch import Batch

Connection = psycopg.Connection[Any]

REFUSALS = (  # for what a record holds: to try it again would change nothing
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    ValueError,
    OverflowError,
    struct.error,
)
MOST_TRIALS = 200  # of one block of samples: what is refused then is left out as a whole
LONGEST_REASON = 200  # characters


@dataclass(frozen=True)
class Refusal:
    """What is left out of a record, and what is said of it instead, if its run is one."""

    reason: str
    samples: frozenset[int]  # positions in the block; empty for another record
    notice: Record | None

    def instead(self, record: Record) -> Iterator[Record]:
        """Yield what is to be written in place of *record*."""
        if isinstance(record, Samples):
            yield _without(record, self.samples)
        if self.notice:
            yield self.notice


class Sieve:
    """Tries the records of one journal within a transaction of *connection*.

    *now* (Unix seconds) is when it is said that something was left out.
    """

    def __init__(self, connection: Connection, journal: UUID, header: Header, now: float) -> None:
        self._connection = connection
        self._journal = journal
        self._header = header
        self._now = now
        self._trials = 0

    def refusal(self, record: Record) -> Refusal | None:
        """Return what the database refuses of *record*, None when it takes all of it."""
        self._trials = 0
        if not isinstance(record, Samples):
            reason = self._trial(record)
            return self._refused(record, reason, frozenset()) if reason else None
        refused = self._refused_samples(record, 0)
        if not refused:
            return None
        reason = next(iter(refused.values()))
        return self._refused(record, reason, frozenset(refused))

    def _refused_samples(self, block: Samples, first: int) -> dict[int, str]:
        """Return why each refused sample is, by its position; *first* is that of the block's."""
        self._trials += 1
        reason, count = self._trial(block), len(block.rows)
        if reason is None:
            return {}
        if count == 1 or self._trials >= MOST_TRIALS:
            return dict.fromkeys(range(first, first + count), reason)
        half = count // 2
        return self._refused_samples(_part(block, 0, half), first) | self._refused_samples(
            _part(block, half, count), first + half
        )

    def _refused(self, record: Record, reason: str, samples: frozenset[int]) -> Refusal:
        run = getattr(record, "run", "")
        worker, count = self._header.worker, len(samples)
        because = f"the database refuses them: {reason}"
        notice: Record = Dropped(run, worker, self._now, count, because)
        if not count:
            text = f"a record ({type(record).__name__}) of {worker} was dropped: {reason}"
            notice = Event(run, "note", self._now, text)
        return Refusal(reason, samples, None if self._trial(notice) else notice)

    def _trial(self, record: Record) -> str | None:
        """Return why the database refuses *record*, None when it has taken it."""
        try:
            with self._connection.transaction():
                batch = Batch(self._header.host, self._header.pid, {})
                copy_requests(self._connection, batch, lambda: batch.take(record))
                for other in batch.others:
                    apply(other, self._connection, self._journal)
        except REFUSALS as error:
            return first_line(error)[:LONGEST_REASON]
        return None


def copy_requests(connection: Connection, batch: Batch, fill: Callable[[], None]) -> None:
    """Let *fill* put samples into *batch*, whose rows the database stores meanwhile."""
    statement = binary_copy.copy_into("request", binary_copy.REQUEST_COLUMNS)
    with connection.cursor().copy(statement) as copy:
        copy.write(binary_copy.BEGIN)
        batch.sink = copy.write
        fill()
        batch.flush()
        copy.write(binary_copy.END)


def _part(block: Samples, begin: int, end: int) -> Samples:
    late_ms = block.late_ms[begin:end]
    return msgspec.structs.replace(block, rows=block.rows[begin:end], late_ms=late_ms)


def _without(block: Samples, positions: frozenset[int]) -> Samples:
    kept = [number for number in range(len(block.rows)) if number not in positions]
    late_ms = [block.late_ms[number] for number in kept] if block.late_ms else []
    return msgspec.structs.replace(block, rows=[block.rows[n] for n in kept], late_ms=late_ms)
