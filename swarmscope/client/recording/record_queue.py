"""Records on their way to the journal; while it cannot be written, they wait."""

from __future__ import annotations

import logging
from collections import deque

from swarmscope.client import clock
from swarmscope.client.recording.encoding import encoded
from swarmscope.client.recording.spool import Spool
from swarmscope.journal.records import (
    Dropped,
    End,
    Event,
    Participant,
    RampComplete,
    Record,
    RunExit,
    RunStarted,
    RunStopped,
    TaskErrors,
    WorkerBack,
    WorkerLost,
    WorkerStarted,
    WorkerStopped,
)

logger = logging.getLogger(__name__)

MOST_WAITING_RECORDS = 10_000  # beyond, only what a run cannot be described without

NEEDED = (
    RunStarted, Participant, RampComplete, WorkerLost, WorkerBack, RunStopped, RunExit,
    WorkerStarted, Dropped, TaskErrors, WorkerStopped, End,
)  # fmt: skip

OPENING = (RunStarted, Participant, WorkerStarted, RampComplete)


class RecordQueue:
    """Writes records to the journal in order, as soon as it can be written."""

    def __init__(self, spool: Spool, worker: str) -> None:
        self.run = ""  # that dropped records are reported with
        self._spool = spool
        self._worker = worker
        self._waiting: deque[tuple[bytes, bool]] = deque()  # payload, and whether it is needed
        self._dropped = 0

    def __bool__(self) -> bool:
        """Whether records are waiting."""
        return bool(self._waiting)

    def add(self, record: Record) -> None:
        """Write *record* after those that wait."""
        needed = isinstance(record, NEEDED)
        if len(self._waiting) < MOST_WAITING_RECORDS or needed:
            self._waiting.append((payload := encoded(record), needed))
            if isinstance(record, OPENING):
                self._spool.opening.append(payload)
        else:
            self._dropped += 1
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the journal can be written."""
        while self._waiting and self._spool.append(self._waiting[0][0]):
            self._waiting.popleft()
        if self._dropped and not self._waiting:
            self.add(self._take_dropped())

    def end(self) -> bool:
        """Write the end of the journal, in reserved space if need be; return whether it worked."""
        self.add(End())
        if not self._waiting:
            return True
        needed = [payload for payload, is_needed in self._waiting if is_needed]
        self._dropped += len(self._waiting) - len(needed)
        if self._dropped:
            needed.insert(-1, encoded(self._take_dropped()))
        try:
            self._spool.end_in_reserve(needed)
        except OSError as error:
            logger.error("Cannot write the end of the journal: %s", error)
            return False
        self._waiting.clear()
        return True

    def _take_dropped(self) -> Event:
        count, self._dropped = self._dropped, 0
        text = (
            f"{count} user counts and notes of {self._worker} were dropped:"
            " the journal could not be written"
        )
        return Event(self.run, "samples_dropped", clock.now(), text)
