"""The shipper reads headers of our own by their shape, and all others like anybody else."""

from __future__ import annotations

from itertools import product

import pytest

from swarmscope.server_timing import component_entries, divided
from swarmscope.shipper.timing import read_timing, read_timings

PAIR = "queue;dur=1.500, app;dur=9.000"
STRANGE = [
    None,
    17,
    "",
    PAIR,
    "app;dur=9.000",
    "queue;dur=1.500, app;dur=9",
    f"{PAIR}, cpu;dur=2.000, db;dur=250",
    f"{PAIR}, cpu;dur=2.000, db;dur=12.5",
    f"{PAIR}, cpu;dur=2.000, db;dur=2.000, db;dur=2.000",
    f"{PAIR}, pool;dur=2.000, cpu;dur=2.000",
    f"{PAIR}, cpu;dur=00.500",
    f'{PAIR}, cpu;dur=.500, db;dur=1.000;desc="3"',
    f'{PAIR}, cpu;dur=0.500, db;dur=1.000;desc=""',
    f'{PAIR}, cpu;dur=0.500, db;dur=1.000;desc="1.000"',
    f'{PAIR}, cpu;dur=0.500, db;dur=1.000;desc="{"9" * 400}"',
    f"queue;dur=1.500, app;dur={'9' * 400}.000",
    "queue;dur=1000000000.000, app;dur=1.000",
    "queue;dur=1.500, app;dur=1000000000.000, cpu;dur=1.000",
    f"{PAIR}, cpu;dur=١.٠٠٠",  # digits, but not ours
    f"{PAIR}, cpu;dur=0.500\udc80",
    [["Server-Timing", f"{PAIR}, cpu;dur=2.000"]],
]


@pytest.mark.parametrize("queue", [1.5, None])
def test_each_header_of_ours_is_read(queue):
    """With every mixture of components, each with calls and without, as by the slow way."""
    seen = set()
    for mixture in product((None, 0.0, 2.125), *[(0.0, 0.375)] * 4, *[(0, 12)] * 3):
        components = mixture if sum(filter(None, mixture)) or mixture[0] is not None else None
        timing = "app;dur=9.000" if queue is None else f"queue;dur={queue:.3f}, app;dur=9.000"
        timing += component_entries(components)
        seen.add(timing)

        assert read_timing(timing) == divided(timing) == (queue, 9.0, components)
    assert len(seen) > 300


@pytest.mark.parametrize("raw", STRANGE, ids=str)
def test_any_other_header_is_read_as_by_anybody(raw):
    """Whatever a proxy, another version or an attacker has made of it."""
    assert read_timing(raw) == divided(raw)


@pytest.mark.parametrize("strange", [*STRANGE, f"{PAIR}\n{PAIR}", f"{PAIR}\n"], ids=str)
def test_headers_of_a_block_are_read_as_each_of_them(strange):
    """Together if all are ours, or there is none; whatever else is among them."""
    block = [f"{PAIR}, cpu;dur=2.000", None, strange, PAIR]

    assert read_timings(block) == [divided(raw) for raw in block]
    assert read_timings([]) == []
