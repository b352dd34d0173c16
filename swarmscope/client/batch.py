"""Turns records into what one transaction writes: rows, windows, and the rest in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from swarmscope.client import rows
from swarmscope.client.records import AnyRecord, Record, Sample, Samples, repaired
from swarmscope.client.scrub import scrub_name, scrub_text, scrub_url
from swarmscope.client.timing import parts
from swarmscope.client.windows import Key, Window, window_of

LONGEST_NAME = 255  # characters; an index of PostgreSQL holds no more than 2,704 bytes
LONGEST_URL = 255
MOST_ENDPOINTS = 1_000  # of one journal and run with histograms of their own
MORE_NAMES = ("(more names)", "")
MOST_REMEMBERED = 50_000
INT4_MAX = 2**31 - 1
LATEST_S = 4e9  # a start beyond is no time: this is in the year 2096
LONGEST_MS = 1e12

_decode = msgspec.msgpack.Decoder(AnyRecord).decode
_is_trace_id = re.compile(r"[0-9a-f]{32}").fullmatch

Endpoint = tuple[str, str]  # name and method, as stored


class Cell:
    """The latencies of one endpoint's samples that finished in one second, in milliseconds."""

    __slots__ = ("app", "failures", "outside", "queue", "total")

    def __init__(self) -> None:
        self.total: list[float] = []
        self.queue: list[float] = []
        self.app: list[float] = []
        self.outside: list[float] = []
        self.failures = 0

    def windows(self) -> Iterator[tuple[str, Window]]:
        """Yield the parts that have values, with their windows."""
        yield "total", window_of(self.total, self.failures)
        for part in ("queue", "app", "outside"):
            if values := getattr(self, part):
                yield part, window_of(values, 0)


class Course:
    """What is remembered of a run from batch to batch."""

    def __init__(self, endpoints: set[Endpoint] | None = None) -> None:
        self.endpoints = endpoints or set()  # those that have histograms of their own
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


class Tally:
    """What a batch adds to a worker's part in a run."""

    def __init__(self, plan: str) -> None:
        self.plan = plan
        self.samples = 0
        self.implausible = 0
        self.latest_s = 0.0  # completion


class Batch:
    """Gathers the records of one journal until they are written together."""

    def __init__(self, loadgen: str, pid: int, courses: dict[str, Course]) -> None:
        self.requests: list[bytes] = []
        self.others: list[Record] = []
        self.tallies: dict[str, Tally] = {}
        self._process = rows.text(loadgen) + rows.int4(pid)
        self._courses = courses

    @property
    def size(self) -> int:
        """The number of rows for ``request``."""
        return len(self.requests) // 2  # head and tail of each

    def take(self, payload: bytes) -> Record:
        """Add one record; raises msgspec.DecodeError or ValueError for what is none."""
        try:
            record: Record = _decode(payload)
        except msgspec.ValidationError:
            record = repaired(payload)
        if isinstance(record, Samples):
            self._take_samples(record)
        else:
            self.others.append(record)
        return record

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
        tally = self.tallies.setdefault(block.run, Tally(block.testplan))
        heads, append, offset = course.heads, self.requests.append, block.offset_s
        tally.samples += len(block.rows)
        for sample in block.rows:
            start, ms, name, method, url, length, greenlet, error, context, timing, trace = sample
            usual = (name, method, url) if error is None and context is None else None
            found = heads.get(usual) if usual else None
            head, cells = found or self._head(block, course, sample)
            start = start + offset if 0 <= start < LATEST_S else rows.run_us(block.run) / 1e6
            queue = app = None
            if ms is not None and 0 <= ms < LONGEST_MS:
                finished = start + ms / 1000
                cell = cells.get(int(finished)) or cells.setdefault(int(finished), Cell())
                cell.total.append(ms)
                if error is not None:
                    cell.failures += 1
                if timing is not None:
                    queue, app = _take_parts(cell, tally, ms, timing)
                if finished > tally.latest_s:
                    tally.latest_s = finished
            tail = _tail(start, ms, error, greenlet, length, queue, app, trace)
            append(head)
            append(tail)

    def _head(
        self, block: Samples, course: Course, sample: Sample
    ) -> tuple[bytes, dict[int, Cell]]:
        """Return the part of the row that samples of one endpoint share, and their cells."""
        _, _, name, method, url, _, _, error, context, *_ = sample
        endpoint = _stored_name(name), _stored_name(method)
        head = rows.request_head(
            rows.run(block.run),
            self._process,
            rows.text(block.testplan),
            *map(rows.text, endpoint),
            rows.text(None if url is None else scrub_url(url)[:LONGEST_URL]),
            rows.text(None if error is None else scrub_text(error)),
            rows.json(context),
        )
        found = head, course.cells_of(endpoint)
        if error is None and context is None:
            if len(course.heads) >= MOST_REMEMBERED:
                course.heads.clear()
            course.heads[name, method, url] = found
        return found


def _take_parts(
    cell: Cell, tally: Tally, ms: float, timing: Any
) -> tuple[float | None, float | None]:
    """Add the parts that Server-Timing tells of; return the plausible ones of (queue, app)."""
    queue, app = parts(timing)
    outside = ms - (queue or 0) - (app or 0)
    if outside < 0:
        tally.implausible += 1
        queue, app = None, app if app is not None and app <= ms else None
    if app is not None:
        cell.app.append(app)
        if queue is not None:
            cell.queue.append(queue)
            cell.outside.append(outside)
    return queue, app


def _tail(
    start: float,
    ms: float | None,
    error: str | None,
    greenlet: int,
    length: int | None,
    queue: float | None,
    app: float | None,
    trace: str | None,
) -> bytes:
    if length is not None and not 0 <= length <= INT4_MAX:
        length = INT4_MAX if length > 0 else None
    return rows.request_tail(
        int(start * rows.MICROSECONDS),
        ms,
        error is None,
        greenlet & INT4_MAX,
        length,
        queue,
        app,
        trace.encode() if trace is not None and _is_trace_id(trace) else None,
    )


def _stored_name(name: str) -> str:
    """Return *name* without secrets, and short enough; different names stay different."""
    name = scrub_name(name)
    if len(name) <= LONGEST_NAME:
        return name
    digest = sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 10]}…{digest}"
