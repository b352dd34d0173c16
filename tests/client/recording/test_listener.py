"""The listener: whatever it is told, nothing of it comes back to Locust as an exception."""

from __future__ import annotations

from types import SimpleNamespace

import gevent
import msgspec
import pytest
from locust.env import Environment
from locust.event import EventHook
from locust.exception import CatchResponseError
from support.listeners import fire, rows

from swarmscope.client.recording.listener import MOST_PENDING
from swarmscope.journal.reader import Reader


class Awkward:
    """Raises whatever it is asked."""

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    @property
    def headers(self) -> object:
        raise RuntimeError("read before it arrived")

    @property
    def trace_id(self) -> object:
        raise RuntimeError("none yet")


class Unspeakable(Exception):
    """Has no string form."""

    def __str__(self) -> str:
        raise AttributeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("exception", "text"),
    [
        (None, None),
        (ValueError("bad"), "ValueError('bad')"),
        (CatchResponseError("No data"), "No data"),
        (Unspeakable(), "<Unspeakable without a string form>"),
        (ValueError("x" * 100_000), "ValueError('" + "x" * 3988),
        ("a string", "'a string'"),
    ],
)
def test_failures_have_a_text(make, exception, text):
    """Whatever the exception is, there is a bounded text for it."""
    listener = make()
    fire(listener, exception=exception)
    assert [row[7] for row in rows(listener)] == [text]


def test_a_falsy_exception_is_none_as_in_locust(make):
    """Locust counts a failure where the exception is truthy, and so do the samples."""
    listener = make()
    fire(listener, exception="")
    fire(listener, exception=False)
    assert [row[7] for row in rows(listener)] == [None, None]


@pytest.mark.parametrize(
    ("context", "json"),
    [
        ({}, None),
        (None, None),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ({"o": object()}, '{"o":"<object>"}'),
        ({("a", 1): 2}, '{"<tuple>":2}'),
        ({"long": "x" * 5000}, '{"error": "this context is too long"}'),
        ({"surrogate": "\ud800"}, '{"error": "this context cannot be written as JSON"}'),
    ],
)
def test_contexts_become_json(make, context, json):
    """A context is copied as JSON at once, or replaced by the reason why not."""
    listener = make()
    fire(listener, context=context)
    assert [row[8] for row in rows(listener)] == [json]


def test_a_context_that_contains_itself(make):
    """A cycle is not followed."""
    listener = make()
    context: dict[str, object] = {}
    context["me"] = context
    fire(listener, context=context)
    assert "cannot be written" in rows(listener)[0][8]


@pytest.mark.parametrize(
    "more",
    [
        {"response_length": None},
        {"response_time": None},
        {"start_time": None},
        {"url": None, "name": "\ud800 lone surrogate"},
        {"url": "\ud800"},
        {"name": object()},
        {"response_length": 2**70},
        {"response": SimpleNamespace(headers=["not", "a", "mapping"])},
        {"response": SimpleNamespace(headers={"server-timing": "app;dur=1"})},
        {"response": SimpleNamespace(headers=None, trace_id=object())},
        {"unexpected": 1},
        {"response": Awkward()},
        {"context": Awkward()},
        {"exception": Awkward()},
        {"response_time": "12.5", "start_time": None},
    ],
    ids=lambda more: "-".join(more),  # an id must be the same in each process
)
def test_odd_requests_are_recorded(make, more):
    """One odd request is journalled, and costs the ones beside it nothing."""
    listener = make()
    fire(listener)
    fire(listener, **more)
    fire(listener)
    listener.flush()
    (path,) = listener.spool.directory.glob("*.journal")
    with Reader(path) as reader:
        frames = list(reader.frames(reader.header_end))
    blocks = [msgspec.msgpack.decode(frame.payload) for frame in frames]
    assert [len(block[4]) for block in blocks if block[0] == "samples"] == [3]


def test_samples_reach_the_file_within_a_tenth_of_a_second(make):
    """In an idle loop a sample is in the operating system's hands 100 ms after its event."""
    listener = make()
    before = listener.spool.position
    fire(listener)
    gevent.sleep(0.1)
    assert listener.spool.position > before


def test_memory_is_bounded(make):
    """A loop that never yields does not gather samples for ever."""
    listener = make()
    for _ in range(MOST_PENDING * 2 + 1):
        fire(listener)
    assert len(listener._rows) == 1
    assert len(rows(listener)) == MOST_PENDING * 2 + 1


def test_samples_outside_any_run_are_ignored(make):
    """What is fired before the first run belongs to none, and is no error."""
    listener = make()
    listener.run = ""
    fire(listener)
    assert rows(listener) == []


def test_without_the_option_nothing_is_recorded(monkeypatch, tmp_path):
    """No file, no process, no handler but those that judge the generator, or spare it."""
    from swarmscope.client import plugin

    monkeypatch.chdir(tmp_path)
    parsed = SimpleNamespace(timescale=False, metrics_port=0, swarm_report="")
    environment = Environment(parsed_options=parsed)
    environment.create_local_runner()
    hooks = {k: v for k, v in vars(environment.events).items() if isinstance(v, EventHook)}
    before = {handler for hook in hooks.values() for handler in hook._handlers}
    plugin.attach(environment)
    added = {handler for hook in hooks.values() for handler in hook._handlers} - before
    assert {handler.__module__ for handler in added} <= {
        "swarmscope.client.locust_patches",
        "swarmscope.client.health.monitor",
        "swarmscope.client.health.probe",
        "swarmscope.client.capacity.figures",
        "swarmscope.client.workload.missed",
        "swarmscope.client.workload.notes",
    }
    assert list(tmp_path.iterdir()) == []
