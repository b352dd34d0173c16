"""Server-Timing as servers and proxies send it."""

from __future__ import annotations

import time

import pytest

from swarmscope.server_timing import parts, plausible


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, (None, None)),
        ("queue;dur=0.412, app;dur=1.873", (0.412, 1.873)),
        ("queue;dur=1,app;dur=2", (1.0, 2.0)),
        ('queue;dur=1.5, app;dur=2.5, cpu;dur=1.000, db;dur=1.000;desc="12"', (1.5, 2.5)),
        ('app;dur=2.5, cpu;dur=1.000, http;dur=1.000;desc="2"', (None, 2.5)),
        ("app;dur=2", (None, 2.0)),
        ("queue;dur=2", (2.0, None)),
        ('cdn-cache;desc="HIT", app ; desc="x" ; DUR="3.5"', (None, 3.5)),
        ("app;dur=1, app;dur=2", (None, None)),  # whose is whose?
        ([["Server-Timing", "queue;dur=1"], ["server-timing", "app;dur=2"]], (1.0, 2.0)),
        ("queue;dur=0.4, app;dur=", (0.4, None)),
        ("queue;dur=nan, app;dur=inf", (None, None)),
        ("queue;dur=-1, app;dur=1e300", (None, None)),
        ("queue;dur=0x10, app", (None, None)),
        (";;;,,,=", (None, None)),
        ("", (None, None)),
        (17, (None, None)),
        ([17, None], (None, None)),
    ],
)
def test_what_is_malformed_is_ignored(raw, expected):
    """Each part is read on its own; nonsense is as good as nothing."""
    assert parts(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("app;dur=250, queue;dur=1.000, app;dur=2.000", (1.0, 2.0)),
        ("queue;dur=1.000, app;dur=2.000, app;dur=250", (1.0, 2.0)),
        ("queue;dur=30, cdn;dur=4, app;dur=250, queue;dur=1.000, app;dur=2.000", (1.0, 2.0)),
        ([["Server-Timing", "app;dur=250"], ["Server-Timing", "queue;dur=1, app;dur=2"]], (1, 2)),
        ([["Server-Timing", "queue;dur=1, app;dur=2"], ["Server-Timing", "app;dur=250"]], (1, 2)),
        ("queue;dur=9, app;dur=99, queue;dur=1, app;dur=2", (1.0, 2.0)),
        ("queue;dur=9, app;dur=99, cpu;dur=9, queue;dur=1, app;dur=2, cpu;dur=2", (1.0, 2.0)),
        ("queue;dur=1, app;dur=2, cpu;dur=1, app;dur=250", (1.0, 2.0)),
        ("app;dur=250.000, app;dur=2.000", (None, None)),
        ("app;dur=2, cdn;dur=250", (None, 2.0)),
        ("queue;dur=1, db;dur=7, app;dur=2", (1.0, 2.0)),
    ],
)
def test_a_gateways_entries_are_not_taken_for_ours(raw, expected):
    """Whoever adds what, before ours or behind it; what cannot be told apart is unknown."""
    assert parts(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('edge;desc="hit, app;dur=9", queue;dur=1, app;dur=2', (1.0, 2.0)),
        ('edge;desc="hit; dur=9", app;desc="a;dur=9, b";dur=2', (None, 2.0)),
        ('edge;desc="a \\", app;dur=9", app;dur=2', (None, 2.0)),
        ('app;dur=2, edge;desc="never closed, app;dur=9', (None, 2.0)),
    ],
)
def test_what_is_quoted_separates_nothing(raw, expected):
    """A description may hold commas, semicolons and quotes of its own."""
    assert parts(raw) == expected


@pytest.mark.parametrize("begin", ['"', 'a;"', 'a;dur="'])
def test_a_hostile_header_is_read_in_no_time(begin):
    """Each sample's is read: one response of the target must not hold up a worker or a shipper."""
    raw = begin + '\\"' * 8_000 + "\\"
    begun = time.process_time()
    assert parts(raw) == (None, None)
    assert time.process_time() - begun < 0.5  # was 11 s


@pytest.mark.parametrize(
    ("queue", "app", "ms", "expected"),
    [
        (2.0, 5.0, 10.0, (2.0, 5.0, 3.0)),
        (2.0, 8.0, 10.0, (2.0, 8.0, 0.0)),
        (8.0, 5.0, 10.0, (None, 5.0, None)),  # the clocks differ: what one of them measured stays
        (8.0, 15.0, 10.0, (None, None, None)),
        (None, 5.0, 10.0, (None, 5.0, None)),
        (None, 15.0, 10.0, (None, None, None)),
        (2.0, None, 10.0, (2.0, None, None)),
        (12.0, None, 10.0, (None, None, None)),
        (None, None, 10.0, (None, None, None)),
    ],
)
def test_parts_are_plausible_where_they_fit(queue, app, ms, expected):
    """Together where both are known, else each by itself."""
    assert plausible(queue, app, ms) == expected
