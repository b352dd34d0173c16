"""The estimate of a worker's clock against the master's."""

from __future__ import annotations

from collections import deque

import pytest

from swarmscope.client.clock import best, estimate


def test_the_quickest_answer_is_believed():
    """A slow answer's error is not averaged in: the quickest one bounds it best."""
    slow = estimate(asked=100.0, master=700.9, answered=101.0)
    quick = estimate(asked=200.0, master=800.01, answered=200.02)
    assert best(deque([slow, quick, slow])) == pytest.approx(600.0)


@pytest.mark.parametrize(("master", "offset"), [(100.0, 0.0), (100.004, 0.0), (100.02, 0.015)])
def test_an_offset_within_its_uncertainty_is_none(master, offset):
    """Clocks of one machine are not pulled apart by the noise of the question."""
    assert best(deque([estimate(100.0, master, 100.01)])) == pytest.approx(offset)
