"""What two runs' comparison says of a gate, and of intervals that bound nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from swarmscope.runs.compare import comparison
from swarmscope.runs.compare.comparison import Change, Comparison, Figures
from swarmscope.runs.compare.intervals import Estimate, Sums


def total_p95(low: float | None, high: float | None, verdict: str = "same") -> Comparison:
    change = Change("", "", "response", "p95", 100.0, 110.0, 0.1, low, high, verdict)
    return Comparison(None, None, False, [change], [], ("After ramp-up", "After ramp-up"), True)


@pytest.mark.parametrize(
    ("found", "clears"),
    [
        (total_p95(-0.83, 1.84), False),  # too wide to tell anything
        (total_p95(-0.05, 0.1), True),
        (total_p95(-0.05, 0.101), False),
        (total_p95(None, None, "unknown"), False),
        (total_p95(-0.3, None, "unknown"), False),
        (total_p95(-0.3, -0.1, "better"), True),
        (replace(total_p95(-0.05, 0.05), comparable=False), False),
        (replace(total_p95(-0.05, 0.05), changes=[]), False),
    ],
)
def test_a_gate_passes_only_what_is_known(found, clears):
    """That the p95 is at most a tenth worse must follow from its whole interval."""
    assert found.clears(0.1) is clears


def test_what_was_not_there_before_is_worse():
    """By no share of nothing; a regression all the same."""
    spans = [(30.0, 10.0), (31.0, 10.0), (29.0, 10.0), (30.0, 10.0), (30.0, 10.0)]
    key = ("/orders", "GET", "cache")
    none = Figures({}, {}, {key: Sums(0.0, 50.0, [(0.0, 10.0)] * 5)})
    some = Figures({}, {}, {key: Sums(150.0, 50.0, spans)})

    (appeared,) = comparison.changes(none, some)
    (gone,) = comparison.changes(some, none)
    assert (appeared.change, appeared.verdict) == (None, "worse")
    assert (gone.change, gone.verdict) == (-1, "better")
    both = [replace(total_p95(0.0, 0.0), changes=[change]) for change in (appeared, gone)]
    assert [len(one.regressions(5.0)) for one in both] == [1, 0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.5, 1.0, (-0.5, 1.0)),
        (-0.99, 3e7, (-math.inf, math.inf)),  # a standing queue
        (0.5, 3e7, (0.5, math.inf)),
        (-0.9999, -0.5, (-math.inf, -0.5)),
    ],
)
def test_an_interval_that_bounds_nothing_has_no_end(low, high, expected):
    """The end that tells worse from better stays."""
    found = comparison._bounded(Estimate(0.1, low, high), "p95")
    assert (found.low, found.high) == expected
    assert comparison._bounded(Estimate(0.0, -1.0, 1.0), comparison.FAIL_RATIO).low == -1.0
