"""Server-Timing as servers and proxies send it."""

from __future__ import annotations

import pytest

from swarmscope.client.timing import parts


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, (None, None)),
        ("queue;dur=0.412, app;dur=1.873", (0.412, 1.873)),
        ("queue;dur=1,app;dur=2", (1.0, 2.0)),
        ("app;dur=2", (None, 2.0)),
        ("queue;dur=2", (2.0, None)),
        ('cdn-cache;desc="HIT", app ; desc="x" ; DUR="3.5"', (None, 3.5)),
        ("app;dur=1, app;dur=2", (None, 1.0)),
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
