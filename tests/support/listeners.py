"""A listener without Locust: requests to report to it, and what it wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec

from swarmscope.client.frozen_options import Options
from swarmscope.client.recording.listener import Listener
from swarmscope.journal.reader import Reader
from swarmscope.journal.records import (
    AnyRecord,
    Samples,
    run_id,
)
from swarmscope.journal.segments import segments
from swarmscope.shipper.process import Shipper

RUN = run_id(1_700_000_000.0)


def options(directory: Path, **more: object) -> Options:
    """Return options with a journal in *directory*."""
    defaults = {
        "plan": "plan",
        "grafana_url": "http://grafana/d/swarmscope-swarm",
        "test_env": "",
        "test_version": "",
        "description": "",
        "iterations_per_second": 0.0,
        "connection": {},
        "journal_directory": directory,
        "journal_limit_bytes": 1 << 30,
        "drain_seconds": 1.0,
    }
    return Options(**{**defaults, **more})


def fire(listener: Listener, **more: object) -> None:
    """Fire a request event as Locust does; an exception in the listener fails the test."""
    defaults = {
        "request_type": "GET",
        "name": "/a",
        "response_time": 12.5,
        "response_length": 17,
        "exception": None,
        "context": {},
        "response": None,
        "start_time": 1_700_000_001.0,
        "url": "http://host/a",
    }
    listener.on_request(**{**defaults, **more})


def recorded(listener: Listener) -> list[object]:
    """Return the records of a listener's journal."""
    listener.flush()
    found = []
    for files in segments(listener.spool.directory).values():
        for segment in files:
            with Reader(segment.path) as reader:
                frames = list(reader.frames(reader.header_end))
            found += [msgspec.msgpack.decode(frame.payload, type=AnyRecord) for frame in frames]
    return found


def rows(listener: Listener) -> list[tuple]:
    """Return the samples in a listener's journal."""
    return [row for r in recorded(listener) if isinstance(r, Samples) for row in r.rows]


def samples_of(listener: Listener) -> list[list[object]]:
    """Return the samples in a listener's journal, whatever the types of their fields."""
    blocks = [msgspec.msgpack.decode(payload) for payload in payloads(listener)]
    return [row for block in blocks if block[0] == "samples" for row in block[4]]


def payloads(listener: Listener) -> list[bytes]:
    """Return what stands in a listener's first segment."""
    (path,) = listener.spool.directory.glob("*.journal")
    with Reader(path) as reader:
        return [frame.payload for frame in reader.frames(reader.header_end)]


def ship(listener: Listener, database: str) -> None:
    """Deliver all that the listener has written."""
    shipper = Shipper(listener.spool.directory, database)
    while shipper.round():
        pass
    shipper.disconnect()
