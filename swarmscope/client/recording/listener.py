"""Turns what Locust reports into records of the journal, which is all that its loop waits for."""

from __future__ import annotations

import logging
import time
from collections import deque
from types import TracebackType
from typing import Any
from uuid import uuid4

import gevent
import msgspec
from gevent import getcurrent
from locust.exception import CatchResponseError

from swarmscope.client import clock
from swarmscope.client.frozen_options import Options
from swarmscope.client.health.probe import Batches
from swarmscope.client.recording import task_errors
from swarmscope.client.recording.encoding import UNENCODABLE, encoded, encoded_samples
from swarmscope.client.response_timing import timing_of
from swarmscope.journal.format import MAX_PAYLOAD_BYTES, Header
from swarmscope.journal.records import (
    ClockOffset,
    Continued,
    Dropped,
    End,
    Event,
    Participant,
    RampComplete,
    Record,
    Resumed,
    RunExit,
    RunStarted,
    RunStopped,
    TaskErrors,
    WorkerBack,
    WorkerLost,
    WorkerStarted,
    WorkerStopped,
)
from swarmscope.journal.text_limits import MAX_TEXT
from swarmscope.journal.writer import SEGMENT_BYTES, Reserve, Writer
from swarmscope.redaction import hide
from swarmscope.server_timing import LONGEST_RESPONSE_MS, usable_ms

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.08  # less than the 0.1 that is promised, since a busy loop is late
MOST_PENDING = 5_000  # samples; more are flushed at once
MOST_WAITING_RECORDS = 10_000  # beyond, only what a run cannot be told without
REPORT_SECONDS = 5.0  # of what was dropped, and of errors in tasks
LIMIT_CHECK_SECONDS = 1.0
SECONDS_OF_CLOCK_CHANGE = 0.001
JOURNAL = "swarmscope.journal"  # who reads a response's parts
LEAST_STEP_SECONDS = 1.0  # of the machine's clock, that a run says

NEEDED = (
    RunStarted, Participant, RampComplete, WorkerLost, WorkerBack, RunStopped, RunExit,
    WorkerStarted, Dropped, TaskErrors, WorkerStopped, End,
)  # fmt: skip

OPENING = (RunStarted, Participant, WorkerStarted, RampComplete)

_encode_json = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__qualname__}>").encode


class Listener:
    """Journals the requests of this process, and whatever else `record` is given."""

    def __init__(self, options: Options, header: Header) -> None:
        self.worker = header.worker
        self.dropped = 0
        self.removed = 0  # journals that somebody deleted while they were written
        self.batches: Batches = []  # who else wants the samples, many at a time
        self._options = options
        self._secrets = options.secrets
        self._header = header
        self._run = ""
        self._plan = ""
        self._works = False
        self._rows: list[tuple[Any, ...]] = []
        self._late: list[tuple[float, tuple[Any, ...]]] = []  # (late_ms, row) of an open workload
        self._waiting: deque[tuple[bytes, bool]] = deque()  # records; whether each is needed
        self._forgotten = 0  # records that were not worth waiting
        self._writer: Writer | None = None
        self._reserve: Reserve | None = None
        self._opening: list[bytes] = []  # how the current run began
        self._resumption: list[bytes] = []  # to be written before all else
        self._counted = 0  # samples of the current run
        self._unreported = 0
        self._reason = self._trouble = ""
        self._complained = False
        self._reported_at = self._checked_at = 0.0
        self._full = False
        self._offset_s = self._step_s = 0.0
        self._task_errors = task_errors.TaskErrors()
        self._flusher = gevent.spawn(self._flush_forever)

    @property
    def journal(self) -> str:
        """The id of this process's journal."""
        return self._header.journal

    @property
    def run(self) -> str:
        """The run that samples belong to; empty before the first."""
        return self._run

    @property
    def position(self) -> int:
        """The journal's length in bytes."""
        return self._writer.position if self._writer else 0

    def begin(self, run: str, plan: str, works: bool) -> None:
        """Let what follows belong to *run*; *works* if this process sends requests."""
        self.flush()
        self._opening, self._counted = [], 0
        self._run, self._plan = run, plan
        self._step_s = clock.step_s()
        self._works = works
        if works:
            self.record(WorkerStarted(run, self.worker, self.now()))
            self._record_clock()

    def finish(self) -> None:
        """Write the stop record of the current run, once."""
        self.flush()
        self._report()
        if self._works:
            self._works = False
            self.record(WorkerStopped(self._run, self.worker, self.now(), self._counted))
        self._opening = []

    def now(self) -> float:
        """Return the master's time, in Unix seconds."""
        return clock.now()

    def on_request(
        self,
        request_type: str,
        name: str,
        response_time: Any,
        response_length: int | None,
        exception: BaseException | None = None,
        context: Any = None,
        response: Any = None,
        start_time: float | None = None,
        url: str | None = None,
        late_ms: float | None = None,
        **_: object,
    ) -> None:
        """Take one sample. This is the hot path: no more than is needed to lose nothing."""
        try:
            if type(response_time) is not float:
                response_time = usable_ms(response_time)
            start = start_time or _start_of(response_time)
            first_byte = getattr(response, "first_byte_ms", None)
            if first_byte is not None:
                response.first_byte_ms = None  # a response that is reported again has it once
            row = (
                start, response_time, name, request_type, url, response_length,
                getattr(getcurrent(), "minimal_ident", 0),
                hide(_describe(exception), self._secrets) if exception else None,
                _as_json(context) if context else None,
                timing_of(response, JOURNAL),
                getattr(response, "trace_id", None),
                first_byte,
            )  # fmt: skip
        except Exception:  # whatever a custom client's objects raise, the sample counts
            error = None if exception is None else hide(_describe(exception), self._secrets)
            row = (
                time.time(), response_time, name, request_type, url, response_length, 0, error,
                None, None, None, None,
            )  # fmt: skip
        if late_ms is None:
            self._rows.append(row)
        else:
            self._late.append((late_ms, row))
        if len(self._rows) + len(self._late) >= MOST_PENDING:
            self.flush()

    def on_user_error(
        self, exception: BaseException, tb: TracebackType | None = None, **_: object
    ) -> None:
        """Count an exception that a task raised."""
        self._task_errors.add(exception, tb)

    def on_cpu_warning(self, cpu_usage: float, **_: object) -> None:
        """Note that Locust finds this process's CPU usage (percent of a core) too high."""
        if self._run:
            text = f"high CPU usage of {self.worker}: {cpu_usage:.0f} %"
            self.record(Event(self._run, "note", self.now(), text))

    def record(self, record: Record) -> None:
        """Append *record* after all samples so far."""
        self._flush_samples()
        needed = isinstance(record, NEEDED)
        if len(self._waiting) < MOST_WAITING_RECORDS or needed:
            self._waiting.append((payload := encoded(record), needed))
            if isinstance(record, OPENING):
                self._opening.append(payload)
        else:
            self._forgotten += 1
        self._flush_records()

    def flush(self) -> None:
        """Hand all that is pending to the operating system."""
        self._flush_records()
        self._flush_samples()

    def close(self) -> None:
        """Write what is left, and the journal's end."""
        self._flusher.kill()
        self.flush()
        self._report()
        self.record(End())
        if self._waiting:
            self._end_in_reserve()
        self._close_journal()

    def _end_in_reserve(self) -> None:
        """Write what a run cannot be told without where room was kept for it."""
        needed = [payload for payload, is_needed in self._waiting if is_needed]
        self._forgotten += len(self._waiting) - len(needed)
        if self._forgotten:
            needed.insert(-1, encoded(self._forgetting()))
        try:
            if not (self._writer and self._reserve):
                raise OSError(self._trouble)
            self._writer.end_in(self._reserve, [*self._resumption, *needed])
            self._waiting.clear()
        except OSError as error:
            self.dropped = max(self.dropped, 1)
            logger.error("The end of the journal could not be written: %s", error)

    def _close_journal(self) -> None:
        if self._writer:
            self._writer.close()
        if self._reserve:
            self._reserve.release()
        self._writer = self._reserve = None

    def _flush_forever(self) -> None:
        while True:
            gevent.sleep(FLUSH_SECONDS)
            if self._works and abs(clock.offset_s - self._offset_s) > SECONDS_OF_CLOCK_CHANGE:
                self._record_clock()
            self._note_step()
            self.flush()
            if not self._waiting and time.monotonic() > self._reported_at + REPORT_SECONDS:
                self._report()

    def _record_clock(self) -> None:
        self._offset_s = clock.offset_s
        self.record(ClockOffset(self._run, self.worker, clock.offset_s))

    def _note_step(self) -> None:
        """Say once that the machine's clock was set: the run's own times go on as they were."""
        step_s = clock.step_s()
        if self._run and abs(step_s - self._step_s) > LEAST_STEP_SECONDS:
            direction = "forward" if step_s > self._step_s else "back"
            text = (
                f"the clock of {self.worker} was set {direction} by"
                f" {abs(step_s - self._step_s):,.0f} s; the times of this run are not changed by it"
            )
            self._step_s = step_s
            self.record(Event(self._run, "note", self.now(), text))

    def _flush_samples(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            self._append_samples(rows, [])
        if self._late:
            late, self._late = self._late, []
            self._append_samples([row for _, row in late], [late_ms for late_ms, _ in late])

    def _append_samples(self, rows: list[tuple[Any, ...]], late_ms: list[float]) -> None:
        for hear in self.batches:
            hear(rows)
        self._counted += len(rows)
        if self._run:  # before, there is nothing that these could belong to
            self._append_block(rows, late_ms)

    def _append_block(self, rows: list[tuple[Any, ...]], late_ms: list[float]) -> None:
        if self._waiting or self._is_full():
            self._drop(len(rows), self._trouble or "the journal occupies what it may")
            return
        payload = encoded_samples(self._run, self._plan, rows, late_ms)
        if len(payload) > MAX_PAYLOAD_BYTES:
            half = len(rows) // 2
            for part in (slice(half), slice(half, None)):
                self._append_block(rows[part], late_ms[part])
        elif self._append(payload):
            self._complained = False
        else:
            self._drop(len(rows), self._trouble)

    def _flush_records(self) -> None:
        while self._waiting and self._append(self._waiting[0][0]):
            self._waiting.popleft()
        if self._forgotten and not self._waiting:
            self.record(self._forgetting())

    def _forgetting(self) -> Event:
        """Return what is said of the records that were not worth waiting."""
        count, self._forgotten = self._forgotten, 0
        text = (
            f"{count} user counts and notes of {self.worker} were dropped:"
            " the journal could not be written"
        )
        return Event(self._run, "samples_dropped", self.now(), text)

    def _append(self, payload: bytes) -> bool:
        """Append to the journal; tell whether it is there."""
        try:
            writer = self._whole_writer()
            while self._resumption:
                writer.append(self._resumption[0])
                del self._resumption[0]
            writer.append(payload)
        except OSError as error:
            self._trouble = error.strerror or str(error)
            return False
        self._trouble = ""
        try:
            writer.roll(encoded(Continued()))
        except OSError as error:  # the segment grows beyond its usual length instead
            logger.debug("No new journal segment: %s", error)
        return True

    def _whole_writer(self) -> Writer:
        """Return the journal's writer; of a new journal, if somebody has removed ours."""
        if self._writer and self._writer.is_gone():
            self._resume()
        directory, journal = self._options.journal_directory, self._header.journal
        if self._reserve is None:
            self._reserve = Reserve(directory, journal)
        if self._writer is None:
            segment_bytes = min(SEGMENT_BYTES, self._options.journal_limit_bytes // 8)
            self._writer = Writer(directory, self._header, segment_bytes)
        return self._writer

    def _resume(self) -> None:
        """Begin a new journal in place of one that was removed, with how the run began."""
        logger.error(
            "The journal in %s was removed while in use: samples that were not delivered are lost",
            self._options.journal_directory,
        )
        self._close_journal()
        self.removed += 1
        removed = self._header.journal
        self._header = msgspec.structs.replace(self._header, journal=uuid4().hex)
        resumed = encoded(Resumed(self._run, self.worker, self.now(), removed))
        self._resumption = [resumed, *self._opening]

    def _is_full(self) -> bool:
        """Tell whether the journal occupies what it may, looking at the disk once a second."""
        if self._writer and time.monotonic() > self._checked_at + LIMIT_CHECK_SECONDS:
            self._checked_at = time.monotonic()
            self._full = self._writer.bytes_on_disk() >= self._options.journal_limit_bytes
        return self._full

    def _drop(self, count: int, reason: str) -> None:
        """Count samples that found no room; say so once, until there is room again."""
        if not self._complained:
            self._complained = True
            logger.error(
                "Samples are dropped, they cannot be journalled in %s: %s",
                self._options.journal_directory,
                reason,
            )
        self.dropped += count
        self._unreported += count
        self._reason = reason

    def _report(self) -> None:
        """Write down what was dropped and which errors tasks raised since the last time."""
        self._reported_at = time.monotonic()
        if self._unreported:
            count, self._unreported = self._unreported, 0
            self.record(Dropped(self._run, self.worker, self.now(), count, self._reason))
        if (errors := self._task_errors.take()) and self._works:
            self.record(TaskErrors(self._run, self.worker, errors))


def _start_of(response_time: float | None) -> float:
    """Return when a request began that has just finished; now, if its time is none."""
    now = time.time()
    if response_time is not None and 0 <= response_time < LONGEST_RESPONSE_MS:
        return now - response_time / 1000
    return now


def _describe(exception: BaseException) -> str:
    """Return the text that is stored for a failure; any object, however odd, has one."""
    try:
        text = str(exception) if isinstance(exception, CatchResponseError) else repr(exception)
    except Exception:  # whatever a user's __repr__ may raise
        text = f"<{type(exception).__qualname__} without a string form>"
    return text[:MAX_TEXT]


def _as_json(context: Any) -> str:
    try:
        text = _encode_json(context).decode()
    except UNENCODABLE:
        return '{"error": "this context cannot be written as JSON"}'
    return text if len(text) <= MAX_TEXT else '{"error": "this context is too long"}'
