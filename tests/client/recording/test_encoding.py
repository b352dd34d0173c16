"""What a journal holds of long texts: their beginnings, whatever the record."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from support.listeners import RUN, fire, payloads, recorded, samples_of

from swarmscope.journal.format import MAX_PAYLOAD_BYTES
from swarmscope.journal.records import (
    Event,
)
from swarmscope.journal.text_limits import MAX_SAMPLE_BYTES, MAX_TEXT, MAX_URL
from swarmscope.redaction import stored_name
from swarmscope.shipper.process import Shipper

LONG = 100_000


@pytest.mark.parametrize(
    "more",
    [
        {"response": SimpleNamespace(headers={"server-timing": "x;dur=1, " * (LONG // 9)})},
        {"url": "http://me:hush@host/" + "x" * LONG},
        {"name": "/" + "x" * LONG},
        {"request_type": "G" * LONG},
        {"response": SimpleNamespace(headers=None, trace_id=b"x" * LONG)},
        {"response_time": "x" * LONG},
        {"response_length": ["x"] * LONG},
    ],
    ids=lambda more: "-".join(more),
)
def test_long_fields_take_little_room(make, more):
    """However long a field of a request is, its samples take a few kilobytes each at most."""
    listener = make()
    before = listener.spool.position
    for _ in range(3):
        for _ in range(10):
            fire(listener, **copy.deepcopy(more))  # a response tells its parts once
        listener.flush()
    assert listener.spool.position - before < 30 * MAX_SAMPLE_BYTES
    assert len(samples_of(listener)) == 30


def test_long_fields_are_stored_as_ever(make, runs_database):
    """What is shortened on the way is stored as what is not: the names stay apart."""
    listener = make()
    timing = "queue;dur=1, app;dur=2, " + "x;dur=3, " * LONG
    name = "/x?token=hush&" + "x" * LONG
    for last in "ab":
        fire(
            listener,
            name=name + last,
            url="http://me:hush@host/" + "y" * LONG,
            response=SimpleNamespace(headers={"server-timing": timing}),
        )
    listener.close()
    shipper = Shipper(listener.spool.directory, runs_database)
    while shipper.round():
        pass
    found = shipper._connection.execute(
        "SELECT name, url, queue_ms, service_ms FROM request ORDER BY name"
    ).fetchall()
    shipper.disconnect()
    url = "http://host/" + "y" * (MAX_URL - 12)
    assert found == [(n, url, 1.0, 2.0) for n in sorted(stored_name(name + x) for x in "ab")]


def test_a_block_is_no_longer_than_a_frame_may_be(make):
    """Samples whose texts are as long as they may be are written in several frames."""
    listener = make()
    for number in range(3000):
        fire(listener, exception=ValueError("x" * LONG), response_length=number)
    listener.flush()
    found = payloads(listener)
    assert max(map(len, found)) <= MAX_PAYLOAD_BYTES
    assert [row[5] for row in samples_of(listener)] == list(range(3000))
    assert len([payload for payload in found if payload[1:].startswith(b"\xa7samples")]) > 1


def test_a_long_record_is_written_with_the_beginning_of_its_text(make):
    """Half a JSON is none; the rest of the record stays as it was."""
    listener = make()
    listener.record(Event(RUN, "note", 1.5, "y" * 2_000_000, '"' + "z" * 2_000_000 + '"'))
    (event,) = [record for record in recorded(listener) if isinstance(record, Event)]
    assert event == Event(RUN, "note", 1.5, "y" * MAX_TEXT, None)
