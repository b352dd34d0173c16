"""Writes a journal as a busy Locust process does, and rolls it as fast as it can.

python rolling_writer.py DIRECTORY SECONDS SEGMENT_BYTES; prints how many samples it wrote.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from uuid import uuid4

import msgspec

from swarmscope.journal.format import Header
from swarmscope.journal.records import (
    Continued,
    End,
    RunStarted,
    RunStopped,
    WorkerStarted,
    WorkerStopped,
    run_id,
)
from swarmscope.journal.writer import Writer

WORKER = "rolling"
BLOCK = 50  # samples
MOST_BYTES = 20_000_000  # on disk: a shipper on a busy machine must be able to keep up
_encode = msgspec.msgpack.encode


def main(directory: Path, seconds: float, segment_bytes: int) -> int:
    """Write samples for so long; return how many."""
    header = Header(uuid4().hex, 0, 0, WORKER, "host", 17, True)
    writer = Writer(directory, header, segment_bytes)
    start = time.time()
    run = run_id(start)
    for record in (_started(run), WorkerStarted(run, WORKER, start)):
        writer.append(_encode(record))
    number = 0
    while time.time() < start + seconds:
        rows = [sample(start, number + n) for n in range(BLOCK)]
        writer.append(_encode(("samples", run, "plan", 0.0, rows)))
        writer.roll(_encode(Continued()))
        number += BLOCK
        while number % 5_000 == 0 and writer.bytes_on_disk() > MOST_BYTES:
            time.sleep(0.01)
    for ending in (WorkerStopped(run, WORKER, time.time()), RunStopped(run, "plan", time.time())):
        writer.append(_encode(ending))
    writer.append(_encode(End()))
    writer.close()
    return number


def _started(run: str) -> RunStarted:
    return RunStarted(run, "plan", "Visitor", None, 1, 0.0, "", "", "", "me", None, "", None, {})


def sample(start: float, number: int) -> tuple[object, ...]:
    """Return a sample that is told apart by its number."""
    url, timing = "http://host/a", "queue;dur=1.5, app;dur=2.5"
    trace = number.to_bytes(16, "big")
    return (start, 10.0, "/a", "GET", url, 17, 5, None, None, timing, trace)


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
