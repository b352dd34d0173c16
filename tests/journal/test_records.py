"""What records are on disk."""

from __future__ import annotations

import msgspec
from support.journals import RUN, START, WORKER

from swarmscope.journal.records import AnyRecord, GeneratorProfile


def test_a_generators_profile_is_what_it_was():
    """Later versions may add fields at the end, never change these."""
    record = GeneratorProfile(RUN, WORKER, START, 15.0, b"\x00stacks")

    payload = msgspec.msgpack.encode(record)

    fields = ["generatorprofile", RUN, WORKER, START, 15.0, b"\x00stacks"]
    assert msgspec.msgpack.decode(payload) == fields
    assert msgspec.msgpack.decode(payload, type=AnyRecord) == record
