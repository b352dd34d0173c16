"""A gate's limits are exceeded by as many unchanged runs as it says."""

from __future__ import annotations

from random import Random

import pytest

from swarmscope.runs.trend.gate import FALSE_ALARMS, bound


@pytest.mark.parametrize("number", [5, 20])
def test_unchanged_runs_exceed_the_limit_as_often_as_is_said(number):
    """2,000 times: histories and a next run from one distribution."""
    random = Random(number)
    alarms = 0
    for _ in range(2000):
        *history, latest = (random.gauss(100, 4) for _ in range(number + 1))
        alarms += latest > bound(history, FALSE_ALARMS)
    assert alarms / 2000 == pytest.approx(FALSE_ALARMS, abs=0.015)  # three standard errors


def test_a_limit_worked_out_by_hand():
    """Mean 100, standard deviation √2.5, t of four degrees of freedom 2.132."""
    assert bound([98, 100, 102, 99, 101], 0.05) == pytest.approx(
        100 + 2.1318 * (2.5 * 1.2) ** 0.5, abs=0.001
    )
