"""Turns records into what one transaction writes: request rows, windows, and other records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

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
from swarmscope.runs.histogram import Window
from swarmscope.runs.selection import MORE_NAMES
from swarmscope.server_timing import MAX_RESPONSE_MS, Parts, plausible
from swarmscope.shipper import binary_copy
from swarmscope.shipper.binary_copy import (
    EPOCH_US,
    MICROSECONDS,
    NO_COMPONENTS,
    component_fields,
    request_tail,
)
from swarmscope.shipper.cells import Cell
from swarmscope.shipper.sanitize import sanitized
from swarmscope.shipper.timing import read_timings
from swarmscope.shipper.windows import Key

MAX_ENDPOINTS = 1_000  # with histograms of their own, per journal and run
MAX_CACHED_HEADS = 50_000
CHUNK_ROWS = 1_000
CLOCK_TOLERANCE_S = 5.0  # a start that is further off is wrong
MAX_OFFSET_S = 4e9  # of a clock; PostgreSQL has no time beyond
UNREADABLE = (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError)

_decode = msgspec.msgpack.Decoder(AnyRecord).decode

Endpoint = tuple[str, str]  # name and method, as stored


class RunState:
    """What is kept of a run from batch to batch."""

    def __init__(self, endpoints: set[Endpoint] | None = None, stopped: bool = False) -> None:
        self.endpoints = endpoints or set()  # with histograms of their own
        self.stopped = stopped  # the worker's stop record has been read
        self.heads: dict[tuple[str, str, str | None], tuple[bytes, dict[int, Cell]]] = {}
        self.cells: dict[Endpoint, dict[int, Cell]] = {}
        self.overflowed = MORE_NAMES in self.endpoints
        self.noted = self.overflowed  # the run has an event about it

    def cells_of(self, endpoint: Endpoint) -> dict[int, Cell]:
        """Return the cells of *endpoint* by second; beyond `MAX_ENDPOINTS`, the shared ones."""
        if endpoint not in self.endpoints:
            if len(self.endpoints) - self.overflowed >= MAX_ENDPOINTS:
                self.overflowed, endpoint = True, MORE_NAMES
            self.endpoints.add(endpoint)
        return self.cells.setdefault(endpoint, {})


@dataclass
class SampleCounts:
    """What a batch adds to the counts of a worker in a run."""

    samples: int = 0
    clock_skewed: int = 0  # parts that do not fit into the response time
    corrected: int = 0  # impossible starts
    after_stop: int = 0  # samples after the stop record: in no other figure


class BlockTimes:
    """When the requests of a block can have started and finished, by the worker's own clock."""

    def __init__(self, block: Samples) -> None:
        self._run_start = binary_copy.run_us(block.run) / MICROSECONDS - block.offset_s
        self._written = block.time
        self._offset_s = block.offset_s
        self.earliest = self._run_start - CLOCK_TOLERANCE_S
        self.latest = (time.time() if block.time is None else block.time) + CLOCK_TOLERANCE_S

    def corrected(self, counts: SampleCounts, start: float, ms: float) -> tuple[float, float]:
        """Return start and end of a request whose *start* is impossible.

        It had just finished when its block was written. A request that really began long before the
        run keeps its start.
        """
        if self._written is None:
            counts.corrected += 1
            return self._run_start, self._run_start + ms / 1000
        end = max(self._written, self._run_start)
        found = end - ms / 1000
        if abs(found - start) <= CLOCK_TOLERANCE_S:
            return start, start + ms / 1000
        counts.corrected += 1
        return found, end

    def take_untimed(
        self, counts: SampleCounts, cells: dict[int, Cell], start: float, failed: bool
    ) -> float:
        """Count a request without a response time; return its start."""
        if not self.earliest <= start <= self.latest:
            start, _ = self.corrected(counts, start, 0.0)
        end = start if self._written is None else max(self._written, start)
        cell = cells.setdefault(int(end + self._offset_s), Cell())
        cell.untimed += 1
        cell.failures += failed
        return start


class Batch:
    """Gathers the records of one journal until they are written together."""

    def __init__(self, loadgen: str, pid: int, runs: dict[str, RunState]) -> None:
        self.size = 0  # rows for ``request``
        self.sink: Callable[[bytes], None] | None = None  # takes these rows, many at a time
        self.others: list[Record] = []  # all records but samples
        self.counts: dict[str, SampleCounts] = {}
        self._requests: list[bytes] = []  # head, tail, components of rows not in the sink
        self._process = binary_copy.text(loadgen) + binary_copy.int4(pid)
        self._runs = runs

    def take(self, record: Record) -> None:
        """Add one record."""
        if isinstance(record, Samples):
            self._take_samples(record)
            self.size += len(record.rows)
            if len(self._requests) >= 3 * CHUNK_ROWS:
                self.flush()
            return
        self.others.append(record)
        if isinstance(record, WorkerStarted | WorkerStopped):
            run = self._runs.setdefault(record.run, RunState())
            run.stopped = isinstance(record, WorkerStopped)

    def flush(self) -> None:
        """Write the rows gathered so far to the sink."""
        assert self.sink
        self.sink(b"".join(self._requests))
        self._requests.clear()

    def overflowed(self) -> Iterator[str]:
        """Yield, once each, the runs with more than `MAX_ENDPOINTS`."""
        for run, state in self._runs.items():
            if state.overflowed and not state.noted:
                state.noted = True
                yield run

    def windows(self) -> Iterator[tuple[Key, Window]]:
        """Yield the one-second windows of the samples, and clear them."""
        for run, state in self._runs.items():
            for (name, method), cells in state.cells.items():
                for second, cell in cells.items():
                    for part, window in cell.windows():
                        yield Key(run, 1, second, name, method, part), window
                cells.clear()  # in place: `heads` refers to it

    def _take_samples(self, block: Samples) -> None:
        run = self._runs.setdefault(block.run, RunState())
        counts = self.counts.setdefault(block.run, SampleCounts())
        if run.stopped:
            counts.after_stop += len(block.rows)
            return
        counts.samples += len(block.rows)
        take = self._take_open if block.start_delay_ms else self._take_closed
        take(block, run, counts, BlockTimes(block))

    def _take_closed(
        self, block: Samples, run: RunState, counts: SampleCounts, times: BlockTimes
    ) -> None:
        heads, append, offset = run.heads, self._requests.append, block.offset_s
        earliest, latest = times.earliest, times.latest
        counted: float | None
        receiving: float | None
        outside: float | None
        timings = read_timings([row[9] for row in block.rows])
        for sample, timing in zip(block.rows, timings, strict=True):  # the shipper's hot loop
            (start, ms, name, method, url, length, greenlet, error, context, _, trace,
             first_byte_ms) = sample  # fmt: skip
            found = heads.get((name, method, url)) if error is None and context is None else None
            head, cells = found or self._head(block, run, sample)
            if ms is not None and 0 <= ms < MAX_RESPONSE_MS:
                end = start + ms / 1000
                if not (earliest <= start and end <= latest):
                    start, end = times.corrected(counts, start, ms)
                second = int(end + offset)
                cell = cells.get(second) or cells.setdefault(second, Cell())
                if error is not None:
                    cell.failures += 1
                queue, app, components = timing
                if (
                    first_byte_ms is not None and queue is not None and app is not None
                    and 0 <= first_byte_ms <= ms and (outside := first_byte_ms - queue - app) >= 0
                ):  # what `fitting` returns of most samples  # fmt: skip
                    receiving, counted = ms - first_byte_ms, queue
                else:
                    queue, app, receiving, outside = fitting(counts, ms, first_byte_ms, timing)
                    counted = None if outside is None else queue
                cell.requests.append((ms, counted, app, receiving, outside))
                if components is not None:
                    components = cell.take_components(components, app)
            else:
                start, ms = times.take_untimed(counts, cells, start, error is not None), None
                queue = app = receiving = components = None
            append(head)
            append(NO_COMPONENTS if components is None else component_fields(*components))
            time_us = int((start + offset) * MICROSECONDS) - EPOCH_US
            append(request_tail(time_us, ms, greenlet, length, queue, app, receiving, trace))

    def _take_open(
        self, block: Samples, run: RunState, counts: SampleCounts, times: BlockTimes
    ) -> None:
        """Take samples whose latency counts from when they were due; parts from the actual send."""
        timings = read_timings([row[9] for row in block.rows])
        for sample, timing, start_delay_ms in zip(
            block.rows, timings, block.start_delay_ms, strict=True
        ):
            start, ms, _, _, _, length, greenlet, error, _, _, trace, first_byte_ms = sample
            head, cells = self._head(block, run, sample)
            queue = app = receiving = outside = components = None
            if ms is not None and 0 <= ms < MAX_RESPONSE_MS:
                end = start + ms / 1000
                if not (times.earliest <= start and end <= times.latest):
                    start, end = times.corrected(counts, start, ms)
                cell = cells.setdefault(int(end + block.offset_s), Cell())
                cell.failures += error is not None
                if 0 <= start_delay_ms <= ms:
                    sent_ms = ms - start_delay_ms
                    cell.uncorrected.append(sent_ms)
                    queue, app, receiving, outside = fitting(counts, sent_ms, first_byte_ms, timing)
                    if timing[2] is not None:
                        components = cell.take_components(timing[2], app)
                counted = None if outside is None else queue
                cell.requests.append((ms, counted, app, receiving, outside))
            else:
                start, ms = times.take_untimed(counts, cells, start, error is not None), None
            time_us = int((start + block.offset_s) * MICROSECONDS) - EPOCH_US
            self._requests += (
                binary_copy.with_start_delay(head, start_delay_ms),
                NO_COMPONENTS if components is None else component_fields(*components),
                request_tail(time_us, ms, greenlet, length, queue, app, receiving, trace),
            )

    def _head(self, block: Samples, run: RunState, sample: Sample) -> tuple[bytes, dict[int, Cell]]:
        """Return the part of the row that requests of one endpoint share, and their cells."""
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
            binary_copy.int2(error is None),
            binary_copy.NULL,  # start_delay_ms
        )
        found = head, run.cells_of(endpoint)
        if error is None and context is None:
            if len(run.heads) >= MAX_CACHED_HEADS:
                run.heads.clear()
            run.heads[name, method, url] = found
        return found


def decode(payload: bytes) -> Record:
    """Decode and sanitize a record; raises one of `UNREADABLE` if *payload* is not one."""
    try:
        record: Record = _decode(payload)
    except msgspec.ValidationError:
        record = repaired(payload)
    if not isinstance(record, Samples):
        return sanitized(record)
    binary_copy.run_us(record.run)
    if not isfinite(record.offset_s) or abs(record.offset_s) > MAX_OFFSET_S:
        raise ValueError(f"a clock cannot be off by {record.offset_s} s")
    if record.time is not None and not isfinite(record.time):
        raise ValueError(f"a block cannot be written at {record.time}")
    if record.start_delay_ms and len(record.start_delay_ms) != len(record.rows):
        raise ValueError("some samples of an open workload have no start delay")
    return record


def fitting(
    counts: SampleCounts, ms: float, first_byte_ms: float | None, timing: Parts
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return queue, app, receiving and outside of a request that took *ms*, None if unknown.

    A part is None if it does not fit: what Server-Timing reports ends before the first byte, or,
    where that is unknown, before the response.
    """
    receiving = None
    if first_byte_ms is not None and 0 <= first_byte_ms <= ms:
        receiving, ms = ms - first_byte_ms, first_byte_ms
    sent_queue, sent_app, _ = timing
    queue, app, outside = plausible(sent_queue, sent_app, ms)
    if outside is None and sent_queue is not None and sent_app is not None:
        counts.clock_skewed += 1
    return queue, app, receiving, outside
