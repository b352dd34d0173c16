"""Odd values, wrong types and long names are stored as near as PostgreSQL can hold them."""

from __future__ import annotations

import json

import pytest
from support.journals import RUN, START, STARTED, Process, sample, ship_all

from swarmscope.journal.records import Event, Participant, UserCount


@pytest.mark.parametrize(
    "text", ["naïve ✓ \U0001f41d", "a\0b", "'; DROP TABLE request; --", "\\", ""]
)
def test_odd_characters_arrive(tmp_path, shipper, query, text):
    """Any text is stored, NUL as the replacement character."""
    process = Process(tmp_path)
    context = json.dumps({"text": text})
    process.samples(sample(0, name=text, method=text, url=text, error=text, context=context))
    ship_all(shipper)
    stored = text.replace("\0", "\ufffd")
    ((name, method, error, context),) = query(
        "SELECT name, request_type, exception, context FROM request"
    )
    assert (name, method, error, context) == (stored, stored, stored, {"text": stored})


def test_wrong_types_arrive(tmp_path, shipper, query):
    """What a custom client reports with a wrong type is stored as text, or as nothing."""
    process = Process(tmp_path)
    process.samples(
        sample(0, name=7, method=None, url=3.5, length="12", error=[1], trace=12),
        sample(1, ms="fast", length=2**40, greenlet=2**60, trace=b"X" * 5),
        sample(2, ms=float("nan"), start="now"),
        sample(3, ms=1e300, start=-5.0, length=-1),
    )
    ship_all(shipper)
    assert query(
        "SELECT name, request_type, url, response_length FROM request WHERE success = 0"
    ) == [("7", "None", "3.5", None)]
    assert query("SELECT count(*) FROM request") == [(4,)]


def test_odd_values_are_stored_as_near_as_may_be(tmp_path, shipper, query):
    """A NUL in a verdict's figures, or in a worker's name, and a context that is no JSON."""
    process = Process(tmp_path, "a \0 worker")
    details = json.dumps({"name": "a\0b", "path": "C:\\u0000"})
    process.write(STARTED, Event(RUN, "verdict", START, "a \0 verdict", details))
    process.write(Participant(RUN, "\0"), UserCount(RUN, "\0", START, 1, 1))
    process.samples(sample(0, context=details), sample(1, context="{"))
    ship_all(shipper)
    stored = {"name": "a\ufffdb", "path": "C:\\u0000"}
    verdicts = query("SELECT text, details FROM events WHERE kind = 'verdict'")
    assert verdicts == [("a \ufffd verdict", stored)]
    contexts = query("SELECT context FROM request ORDER BY time")
    assert contexts == [(stored,), ({"error": "not JSON"},)]
    workers = {worker for (worker,) in query("SELECT worker FROM run_worker")}
    assert workers == {"a \ufffd worker", "\ufffd"}


def test_long_names_are_bounded_and_stay_different(tmp_path, shipper, query, counted):
    """A name of any length is stored, shortened in a way that keeps names apart."""
    process = Process(tmp_path)
    long = "/x" * 50_000
    process.samples(sample(0, name=long + "1"), sample(1, name=long + "2"), sample(2, url=long))
    ship_all(shipper)
    names = [name for (name,) in query("SELECT DISTINCT name FROM request WHERE name <> '/a'")]
    assert len(names) == 2
    assert all(len(name) <= 255 and "…" in name for name in names)
    assert counted(60) == 3
