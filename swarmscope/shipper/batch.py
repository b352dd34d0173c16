"""Turns records into what one transaction writes: rows, windows, and the rest in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from swarmscope.journal.records import (
    AnyRecord,
    Record,
    Sample,
    Samples,
    WorkerStarted,
    WorkerStopped,
    repaired,
)
from swarmscope.journal.text_limits import stored_url
from swarmscope.redaction import scrub_json, scrub_text, stored_name
from swarmscope.runs.histogram import PARTS, Window, window_of
from swarmscope.runs.selection import MORE_NAMES
from swarmscope.server_timing import LONGEST_RESPONSE_MS, parts
from swarmscope.shipper import binary_copy
from swarmscope.shipper.binary_copy import request_tail as tail_of
from swarmscope.shipper.sanitize import storable
from swarmscope.shipper.windows import Key

MOST_ENDPOINTS = 1_000  # of one journal and run with histograms of their own
MOST_REMEMBERED = 50_000
CHUNK_ROWS = 1_000
SLACK_S = 5.0  # by which clocks may differ before a start is taken for wrong
LARGEST_OFFSET_S = 4e9  # beyond, a clock's offset is no time
UNREADABLE = (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError)

_decode = msgspec.msgpack.Decoder(AnyRecord).decode

Endpoint = tuple[str, str]  # name and method, as stored


class Cell:
    """The latencies of one endpoint's samples that finished in one second, in milliseconds."""

    __slots__ = (
        "app", "failures", "outside", "queue", "raw", "receiving", "total", "untimed",
    )  # fmt: skip

    def __init__(self) -> None:
        self.total: list[float] = []
        self.queue: list[float] = []
        self.app: list[float] = []
        self.receiving: list[float] = []
        self.outside: list[float] = []
        self.raw: list[float] = []  # of an open workload, from the actual start
        self.failures = 0
        self.untimed = 0  # requests whose time nobody knows

    def windows(self) -> Iterator[tuple[str, Window]]:
        """Yield the parts that have values, with their windows."""
        yield "total", window_of(self.total, self.failures, self.untimed)
        for part in PARTS[1:]:
            if values := getattr(self, part):
                yield part, window_of(values, 0)


class Course:
    """What is remembered of a run from batch to batch."""

    def __init__(self, endpoints: set[Endpoint] | None = None, stopped: bool = False) -> None:
        self.endpoints = endpoints or set()  # those that have histograms of their own
        self.stopped = stopped  # the worker's stop record has been read
        self.heads: dict[tuple[str, str, str | None], tuple[bytes, dict[int, Cell]]] = {}
        self.cells: dict[Endpoint, dict[int, Cell]] = {}
        self.crowded = MORE_NAMES in self.endpoints
        self.noted = self.crowded  # whether the run says so already

    def cells_of(self, endpoint: Endpoint) -> dict[int, Cell]:
        """Return the cells of *endpoint* by second; beyond `MOST_ENDPOINTS`, those of the rest."""
        if endpoint not in self.endpoints:
            if len(self.endpoints) - self.crowded >= MOST_ENDPOINTS:
                self.crowded, endpoint = True, MORE_NAMES
                self.endpoints.add(endpoint)
            else:
                self.endpoints.add(endpoint)
        return self.cells.setdefault(endpoint, {})


@dataclass
class Tally:
    """What a batch adds to a worker's part in a run."""

    samples: int = 0
    implausible: int = 0
    corrected: int = 0  # starts that could not be
    after_stop: int = 0  # requests that finished behind the stop record: in no other figure


class Span:
    """When the requests of a block can have started and finished, by the worker's own clock."""

    def __init__(self, block: Samples) -> None:
        self._run_start = binary_copy.run_us(block.run) / binary_copy.MICROSECONDS - block.offset_s
        self._written = block.time
        self._offset_s = block.offset_s
        self.earliest = self._run_start - SLACK_S
        self.latest = (time.time() if block.time is None else block.time) + SLACK_S

    def corrected(self, tally: Tally, start: float, ms: float) -> tuple[float, float]:
        """Return the start and the end of a request that cannot have been when it says.

        It had just finished when its block was written. One that began long before the run, and
        says so, is left as it is.
        """
        if self._written is None:
            tally.corrected += 1
            return self._run_start, self._run_start + ms / 1000
        end = max(self._written, self._run_start)
        found = end - ms / 1000
        if abs(found - start) <= SLACK_S:
            return start, start + ms / 1000
        tally.corrected += 1
        return found, end

    def take_untimed(
        self, tally: Tally, cells: dict[int, Cell], start: float, failed: bool
    ) -> float:
        """Count a request without a usable time; return its start."""
        if not self.earliest <= start <= self.latest:
            start, _ = self.corrected(tally, start, 0.0)
        end = start if self._written is None else max(self._written, start)
        cell = cells.setdefault(int(end + self._offset_s), Cell())
        cell.untimed += 1
        cell.failures += failed
        return start


class Batch:
    """Gathers the records of one journal until they are written together."""

    def __init__(self, loadgen: str, pid: int, courses: dict[str, Course]) -> None:
        self.size = 0  # rows for ``request``
        self.sink: Callable[[bytes], None] | None = None  # takes these rows, many at a time
        self._requests: list[bytes] = []  # head and tail of each that the sink has not
        self.others: list[Record] = []
        self.tallies: dict[str, Tally] = {}
        self._process = binary_copy.text(loadgen) + binary_copy.int4(pid)
        self._courses = courses

    def take(self, record: Record) -> None:
        """Add one record."""
        if isinstance(record, Samples):
            self._take_samples(record)
            self.size += len(record.rows)
            if len(self._requests) >= 2 * CHUNK_ROWS:
                self.flush()
            return
        self.others.append(record)
        if isinstance(record, WorkerStarted | WorkerStopped):
            course = self._courses.setdefault(record.run, Course())
            course.stopped = isinstance(record, WorkerStopped)

    def flush(self) -> None:
        """Hand the rows gathered so far to the sink."""
        assert self.sink
        self.sink(b"".join(self._requests))
        self._requests.clear()

    def crowded(self) -> Iterator[str]:
        """Yield, once each, the runs with more names than have histograms of their own."""
        for run, course in self._courses.items():
            if course.crowded and not course.noted:
                course.noted = True
                yield run

    def windows(self) -> Iterator[tuple[Key, Window]]:
        """Yield, and forget, the windows of a second that the samples fill."""
        for run, course in self._courses.items():
            for (name, method), cells in course.cells.items():
                for second, cell in cells.items():
                    for part, window in cell.windows():
                        yield Key(run, 1, second, name, method, part), window
                cells.clear()  # in place: the remembered heads refer to it

    def _take_samples(self, block: Samples) -> None:
        course = self._courses.setdefault(block.run, Course())
        tally = self.tallies.setdefault(block.run, Tally())
        if course.stopped:
            tally.after_stop += len(block.rows)
            return
        tally.samples += len(block.rows)
        heads, append, offset = course.heads, self._requests.append, block.offset_s
        span = Span(block)
        if block.late_ms:
            self._take_open(block, course, tally, span)
            return
        earliest, latest = span.earliest, span.latest
        for sample in block.rows:
            (start, ms, name, method, url, length, greenlet, error, context, timing, trace,
             first_byte_ms) = sample  # fmt: skip
            found = heads.get((name, method, url)) if error is None and context is None else None
            head, cells = found or self._head(block, course, sample)
            queue = app = receiving = None
            if ms is not None and 0 <= ms < LONGEST_RESPONSE_MS:
                end = start + ms / 1000
                if not (earliest <= start and end <= latest):
                    start, end = span.corrected(tally, start, ms)
                second = int(end + offset)
                cell = cells.get(second) or cells.setdefault(second, Cell())
                cell.total.append(ms)
                if error is not None:
                    cell.failures += 1
                if timing is not None or first_byte_ms is not None:
                    queue, app, receiving = _take_parts(cell, tally, ms, first_byte_ms, timing)
            else:
                start, ms = span.take_untimed(tally, cells, start, error is not None), None
            time_us = int((start + offset) * binary_copy.MICROSECONDS)
            tail = tail_of(
                time_us, ms, error is None, greenlet, length, queue, app, receiving, trace
            )
            append(head)
            append(tail)

    def _take_open(self, block: Samples, course: Course, tally: Tally, span: Span) -> None:
        """Take samples whose latency counts from when they were due; parts are of what followed."""
        for sample, late_ms in zip(block.rows, block.late_ms, strict=True):
            start, ms, _, _, _, length, greenlet, error, _, timing, trace, first_byte_ms = sample
            head, cells = self._head(block, course, sample)
            queue = app = receiving = None
            if ms is not None and 0 <= ms < LONGEST_RESPONSE_MS:
                end = start + ms / 1000
                if not (span.earliest <= start and end <= span.latest):
                    start, end = span.corrected(tally, start, ms)
                cell = cells.setdefault(int(end + block.offset_s), Cell())
                cell.total.append(ms)
                cell.failures += error is not None
                if 0 <= late_ms <= ms:
                    sent_ms = ms - late_ms
                    cell.raw.append(sent_ms)
                    if timing is not None or first_byte_ms is not None:
                        found = _take_parts(cell, tally, sent_ms, first_byte_ms, timing)
                        queue, app, receiving = found
            else:
                start, ms = span.take_untimed(tally, cells, start, error is not None), None
            time_us = int((start + block.offset_s) * binary_copy.MICROSECONDS)
            tail = tail_of(
                time_us, ms, error is None, greenlet, length, queue, app, receiving, trace
            )
            self._requests.append(binary_copy.with_lateness(head, late_ms))
            self._requests.append(tail)

    def _head(
        self, block: Samples, course: Course, sample: Sample
    ) -> tuple[bytes, dict[int, Cell]]:
        """Return the part of the row that samples of one endpoint share, and their cells."""
        _, _, name, method, url, _, _, error, context, *_ = sample
        endpoint = stored_name(name), stored_name(method)
        head = binary_copy.request_head(
            binary_copy.run(block.run),
            self._process,
            binary_copy.text(scrub_text(block.testplan)),
            *map(binary_copy.text, endpoint),
            binary_copy.text(None if url is None else stored_url(url)),
            binary_copy.text(None if error is None else scrub_text(error)),
            binary_copy.json(None if context is None else scrub_json(context)),
            binary_copy.NULL,  # late_ms
        )
        found = head, course.cells_of(endpoint)
        if error is None and context is None:
            if len(course.heads) >= MOST_REMEMBERED:
                course.heads.clear()
            course.heads[name, method, url] = found
        return found


def decode(payload: bytes) -> Record:
    """Return the record that *payload* is, such that the database can hold it.

    Raises one of `UNREADABLE` for what is no record.
    """
    try:
        record: Record = _decode(payload)
    except msgspec.ValidationError:
        record = repaired(payload)
    if not isinstance(record, Samples):
        return storable(record)
    binary_copy.run_us(record.run)
    if not isfinite(record.offset_s) or abs(record.offset_s) > LARGEST_OFFSET_S:
        raise ValueError(f"a clock cannot be off by {record.offset_s} s")
    if record.time is not None and not isfinite(record.time):
        raise ValueError(f"a block cannot be written at {record.time}")
    if record.late_ms and len(record.late_ms) != len(record.rows):
        raise ValueError("some samples of an open workload have no lateness")
    return record


def _take_parts(
    cell: Cell, tally: Tally, ms: float, first_byte_ms: float | None, timing: Any
) -> tuple[float | None, float | None, float | None]:
    """Add the parts of a request that took *ms*; return the plausible queue, app and receiving.

    What Server-Timing tells of is over when the first byte arrives, where that is known.
    """
    receiving = None
    if first_byte_ms is not None and 0 <= first_byte_ms <= ms:
        receiving = ms - first_byte_ms
        cell.receiving.append(receiving)
        ms = first_byte_ms
    if timing is None:
        return None, None, receiving
    return *_take_timing(cell, tally, ms, timing), receiving


def _take_timing(
    cell: Cell, tally: Tally, ms: float, timing: Any
) -> tuple[float | None, float | None]:
    """Add the parts that Server-Timing tells of; return the plausible ones of (queue, app)."""
    queue, app = parts(timing)
    if app is None:
        return (queue if queue is not None and queue <= ms else None), None
    if queue is not None:
        outside = ms - queue - app
        if outside >= 0:
            cell.app.append(app)
            cell.queue.append(queue)
            cell.outside.append(outside)
            return queue, app
        tally.implausible += 1
    if app > ms:
        return None, None
    cell.app.append(app)
    return None, app
