"""Writes journals as a Locust process would, and delivers them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import msgspec

from swarmscope.journal.format import Header
from swarmscope.journal.reader import Reader
from swarmscope.journal.records import Continued, RunStarted, Samples, run_id
from swarmscope.journal.segments import segments
from swarmscope.journal.writer import Writer
from swarmscope.shipper.process import Shipper

START = 1_700_000_000.25
RUN = run_id(START)
WORKER = "worker"
STARTED = RunStarted(
    run=RUN,
    testplan="plan",
    scenario="Visitor",
    profile=None,
    users=3,
    iterations_per_second=0.0,
    description="a \0 description, --token PW",
    environment="an environment with a long name",
    version="v" * 100,
    username="me",
    repository=None,
    arguments="-u 3",
    host="http://host",
    versions={"locust": "2.47"},
)

HEADER = Header(uuid4().hex, 0, 0, "worker", "host", 17, False)


def path_of(directory: Path, number: int = 0) -> Path:
    """Return the path of a segment of the journal of `HEADER`."""
    return segments(directory)[HEADER.journal][number].path


def payloads(path: Path, offset: int = 0) -> list[bytes]:
    """Return the payloads of the whole frames of a segment."""
    with Reader(path) as reader:
        return [f.payload for f in reader.frames(max(offset, reader.header_end))]


def sample(number: int, ms: float | None = 10.0, name: str = "/a", **more: object) -> tuple:
    """Return a sample that starts *number* hundredths of a second into the run."""
    defaults = {
        "start": START + number / 100,
        "ms": ms,
        "name": name,
        "method": "GET",
        "url": "http://host/a",
        "length": 17,
        "greenlet": 5,
        "error": None,
        "context": None,
        "timing": "queue;dur=1.5, app;dur=2.5",
        "trace": number.to_bytes(16, "big"),
    }
    return tuple((defaults | more).values())


class Process:
    """Writes a journal as a Locust process would."""

    def __init__(self, directory: Path, worker: str = WORKER, **more: int) -> None:
        self.header = Header(uuid4().hex, 0, 0, worker, "host", 17, True)
        self.writer = Writer(directory, self.header, **more)

    def write(self, *records: object) -> None:
        """Append records."""
        for record in records:
            self.writer.append(msgspec.msgpack.encode(record))
            self.writer.roll(msgspec.msgpack.encode(Continued()))

    def samples(self, *rows: tuple, offset_s: float = 0.0, **more: object) -> None:
        """Append a block of samples."""
        self.write(Samples(RUN, "plan", offset_s, list(rows), **more))


def ship_all(shipper: Shipper) -> None:
    """Deliver what there is."""
    while shipper.round():
        pass
