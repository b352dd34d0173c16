"""Server-Timing as servers and proxies send it."""

from __future__ import annotations

import time

import pytest

from swarmscope.server_timing import (
    component_entries,
    divided,
    parts,
    plausible,
    remainder_ms,
    total,
)


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
    assert parts(raw) == divided(raw)[:2] == expected


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
    assert parts(raw) == divided(raw)[:2] == expected


OURS = 'queue;dur=1.500, app;dur=9.000, cpu;dur=2.000, db;dur=6.500;desc="12"'
CPU, DB = (2.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0), (2.0, 6.5, 0.0, 0.0, 0.0, 12, 0, 0)
ALL = f'{OURS}, pool;dur=0.100, http;dur=0.200;desc="1", cache;dur=0.000;desc="3"'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (OURS, DB),
        (ALL, (2.0, 6.5, 0.1, 0.2, 0.0, 12, 1, 3)),
        (
            "queue;dur=1.500, app;dur=9.000, cpu;dur=2.000, pool;dur=0.125",
            (*CPU[:2], 0.125, *CPU[3:]),
        ),
        (f"db;dur=700.000, {OURS}", DB),  # a gateway's own database
        (f"cpu;dur=1.000, db;dur=7.000, {OURS}, cdn;dur=4, http;dur=250.000", DB),
        (f"{OURS}, db;dur=250.000", DB),  # ours comes once, and in order
        (f"{OURS}, http;dur=250", DB),  # not the way the service writes it
        (f'{OURS}, http;dur=2.000;desc="one"', DB),
        (f'{OURS}, http;dur=-2.000;desc="1"', DB),
        ("app;dur=9.000, cpu;dur=2.000, db;dur=0.000", CPU),  # sent without our start header
        ("queue;dur=1, app;dur=9, db;dur=6.500", (None, 6.5, 0.0, 0.0, 0.0, 0, 0, 0)),  # no CPU
        ([["Server-Timing", "db;dur=7.000"], ["Server-Timing", OURS]], DB),
        (f"{ALL}, {OURS}", DB),  # of another service, which this one passes on
        (f'{OURS};desc="never, db;dur=3.000', CPU),
        ("queue;dur=1.500, app;dur=9.000", None),
        ("queue;dur=1.500, app;dur=9.000, cdn;dur=4, cpu;dur=2.000", None),
        ("app;dur=9.000, app;dur=8.000, cpu;dur=2.000", None),  # whose is whose?
        ("cpu;dur=2.000, db;dur=6.500", None),
        ("queue;dur=1.500, app;dur=9.000, cpu;dur=nan", None),
        ("queue;dur=1.500, app;dur=9.000, cpu;dur=" + "9" * 5_000, None),
        ("queue;dur=1.500, app;dur=9.000, cpu;dur=", None),
    ],
)
def test_components_are_those_right_behind_our_service_time(raw, expected):
    """What others have added before, behind or between is not taken for ours."""
    assert divided(raw)[2] == expected


def test_what_components_leave_is_something_else():
    """By two clocks, so a hair too much is nothing; more than that is not of this service time."""
    assert remainder_ms(DB, 9.0) == 0.5
    assert remainder_ms((None, *DB[1:]), 9.0) == 2.5
    assert remainder_ms(DB, 8.4999) == remainder_ms(DB, 8.5003) == remainder_ms(DB, 8.46) == 0.0
    assert remainder_ms(DB, 8.4) is None
    assert remainder_ms((10_009.0, *CPU[1:]), 10_000.0) == 0.0


def test_components_of_several_requests_add_up():
    """As the header of one, which reads back as it was; unknown where one is."""
    assert total([DB, CPU, DB]) == (6.0, 13.0, 0.0, 0.0, 0.0, 24, 0, 0)
    assert total([DB, (None, *CPU[1:])]) == (None, 6.5, 0.0, 0.0, 0.0, 12, 0, 0)
    assert total([DB, None]) is None
    for components in (None, CPU, DB, divided(ALL)[2], (None, *DB[1:])):
        timing = f"queue;dur=1.500, app;dur=9.000{component_entries(components)}"
        assert divided(timing) == (1.5, 9.0, components)


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
    assert parts(raw) == divided(raw)[:2] == expected


@pytest.mark.parametrize("begin", ['"', 'a;"', 'a;dur="'])
def test_a_hostile_header_is_read_in_no_time(begin):
    """Each sample's is read: one response of the target must not hold up a worker or a shipper."""
    raw = begin + '\\"' * 8_000 + "\\"
    begun = time.process_time()
    assert divided(raw) == (None, None, None)
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
