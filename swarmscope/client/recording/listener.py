"""Turns Locust's events into journal records; Locust's loop waits for nothing else."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Any

import gevent
import msgspec
from gevent import getcurrent
from locust.exception import CatchResponseError

from swarmscope.client import clock
from swarmscope.client.events import Batches
from swarmscope.client.frozen_options import Options
from swarmscope.client.recording.encoding import UNENCODABLE, encoded_samples
from swarmscope.client.recording.record_queue import RecordQueue
from swarmscope.client.recording.spool import Spool
from swarmscope.client.recording.task_errors import TaskErrorCounter
from swarmscope.client.response_timing import timing_of
from swarmscope.journal.format import MAX_PAYLOAD_BYTES, Header
from swarmscope.journal.records import (
    ClockOffset,
    Dropped,
    Event,
    Record,
    TaskErrors,
    WorkerStarted,
    WorkerStopped,
)
from swarmscope.journal.text_limits import MAX_TEXT
from swarmscope.redaction import hide
from swarmscope.server_timing import MAX_RESPONSE_MS, usable_ms

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.08  # less than the 0.1 that is promised, since a busy loop is late
MOST_PENDING = 5_000  # samples; more are flushed at once
REPORT_SECONDS = 5.0  # of what was dropped, and of errors in tasks
SECONDS_OF_CLOCK_CHANGE = 0.001
JOURNAL = "swarmscope.journal"  # who reads a response's parts
MIN_STEP_S = 1.0  # of the machine's clock that is noted with the run

_encode_json = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__qualname__}>").encode


class Listener:
    """Writes the requests of this process, and other records, to its journal."""

    def __init__(self, options: Options, header: Header) -> None:
        self.worker = header.worker
        self.dropped = 0
        self.batches: Batches = []
        self.run = ""  # that samples belong to; empty before the first
        self.works = False  # whether it sends requests of that run now
        self.spool = Spool(options, header)
        self._secrets = options.secrets
        self._plan = ""
        self._rows: list[tuple[Any, ...]] = []
        self._late: list[tuple[float, tuple[Any, ...]]] = []  # with start delays in ms
        self._records = RecordQueue(self.spool, header.worker)
        self._counted = 0  # samples of the current run
        self._unreported = 0
        self._reason = ""
        self._complained = False
        self._reported_at = 0.0
        self._offset_s = self._step_s = 0.0
        self._task_errors = TaskErrorCounter()
        self._flusher = gevent.spawn(self._flush_forever)

    def begin(self, run: str, plan: str, works: bool) -> None:
        """Start *run*: what follows belongs to it; *works* if this process sends requests."""
        self.flush()
        self._counted = 0
        self.run, self._plan = run, plan
        self.spool.begin(run)
        self._records.run = run
        self._step_s = clock.step_s()
        self.works = works
        if works:
            self.record(WorkerStarted(run, self.worker, clock.now()))
            self._record_clock()

    def finish(self) -> None:
        """Write the stop record of the current run, once."""
        self.flush()
        self._report()
        if self.works:
            self.works = False
            self.record(WorkerStopped(self.run, self.worker, clock.now(), self._counted))
        self.spool.opening = []

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
        start_delay_ms: float | None = None,
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
        if start_delay_ms is None:
            self._rows.append(row)
            pending = len(self._rows)
        else:
            self._late.append((start_delay_ms, row))
            pending = len(self._late)
        if pending >= MOST_PENDING:
            self.flush()

    def on_user_error(
        self, exception: BaseException, tb: TracebackType | None = None, **_: object
    ) -> None:
        """Count an exception that a task raised."""
        self._task_errors.add(exception, tb)

    def on_cpu_warning(self, cpu_usage: float, **_: object) -> None:
        """Note that Locust finds this process's CPU usage (percent of a core) too high."""
        if self.run:
            text = f"high CPU usage of {self.worker}: {cpu_usage:.0f} %"
            self.record(Event(self.run, "note", clock.now(), text))

    def record(self, record: Record) -> None:
        """Append *record* after all samples so far."""
        self._flush_samples()
        self._records.add(record)

    def flush(self) -> None:
        """Hand all that is pending to the operating system."""
        self._records.flush()
        self._flush_samples()

    def close(self) -> None:
        """Write what is left, and the journal's end."""
        self._flusher.kill()
        self.flush()
        self._report()
        if not self._records.end():
            self.dropped = max(self.dropped, 1)
        self.spool.close()

    def _flush_forever(self) -> None:
        while True:
            gevent.sleep(FLUSH_SECONDS)
            if self.works and abs(clock.offset_s - self._offset_s) > SECONDS_OF_CLOCK_CHANGE:
                self._record_clock()
            self._note_step()
            self.flush()
            if not self._records and time.monotonic() > self._reported_at + REPORT_SECONDS:
                self._report()

    def _record_clock(self) -> None:
        self._offset_s = clock.offset_s
        self.record(ClockOffset(self.run, self.worker, clock.offset_s))

    def _note_step(self) -> None:
        """Note once that the machine's clock was set; the run's own clock goes on."""
        step_s = clock.step_s()
        if self.run and abs(step_s - self._step_s) > MIN_STEP_S:
            direction = "forward" if step_s > self._step_s else "back"
            text = (
                f"the clock of {self.worker} was set {direction} by"
                f" {abs(step_s - self._step_s):,.0f} s; this run's times are not affected"
            )
            self._step_s = step_s
            self.record(Event(self.run, "note", clock.now(), text))

    def _flush_samples(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            self._append_samples(rows, [])
        if self._late:
            late, self._late = self._late, []
            self._append_samples([row for _, row in late], [delay_ms for delay_ms, _ in late])

    def _append_samples(self, rows: list[tuple[Any, ...]], start_delay_ms: list[float]) -> None:
        for take in self.batches:
            take(rows)
        self._counted += len(rows)
        if self.run:  # before, there is nothing that these could belong to
            self._append_block(rows, start_delay_ms)

    def _append_block(self, rows: list[tuple[Any, ...]], start_delay_ms: list[float]) -> None:
        if self._records or self.spool.is_full():
            self._drop(len(rows), self.spool.trouble or "the journal has reached its limit")
            return
        payload = encoded_samples(self.run, self._plan, rows, start_delay_ms)
        if len(payload) > MAX_PAYLOAD_BYTES:
            half = len(rows) // 2
            for part in (slice(half), slice(half, None)):
                self._append_block(rows[part], start_delay_ms[part])
        elif self.spool.append(payload):
            self._complained = False
        else:
            self._drop(len(rows), self.spool.trouble)

    def _drop(self, count: int, reason: str) -> None:
        """Count dropped samples; log once, until one is written again."""
        if not self._complained:
            self._complained = True
            logger.error(
                "Dropping samples: cannot write the journal in %s: %s",
                self.spool.directory,
                reason,
            )
        self.dropped += count
        self._unreported += count
        self._reason = reason

    def _report(self) -> None:
        """Record what was dropped, and which errors tasks raised, since the last report."""
        self._reported_at = time.monotonic()
        if self._unreported:
            count, self._unreported = self._unreported, 0
            self.record(Dropped(self.run, self.worker, clock.now(), count, self._reason))
        if (errors := self._task_errors.take()) and self.works:
            self.record(TaskErrors(self.run, self.worker, errors))


def _start_of(response_time: float | None) -> float:
    """Return when a request began that has just finished; now, if its time is none."""
    now = time.time()
    if response_time is not None and 0 <= response_time < MAX_RESPONSE_MS:
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
