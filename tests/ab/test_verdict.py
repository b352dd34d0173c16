"""The sentence of a comparison, and its kind."""

from __future__ import annotations

import pytest

from swarmscope.ab.differences import ORDERS
from swarmscope.ab.figures import CPU
from swarmscope.ab.verdict import FASTER, SAME, SLOWER, UNDECIDED, FigureResult, result, verdict


def figure(
    change: float, low: float | None, high: float | None, name: str = "service p50"
) -> FigureResult:
    """Return a figure that was 100 ms."""
    return FigureResult(name, 100.0, 100.0 * (1 + change), change, low, high)


def test_a_result_is_of_logarithms() -> None:
    """Twice as slow is +100 %, in every block; without spread the interval is a point."""
    found = result("queue", [ORDERS[0], ORDERS[1]], [[1, 2, 2, 1], [6, 3, 3, 6]], 0.05)

    assert (found.a, found.b) == pytest.approx((3**0.5, 12**0.5))
    assert (found.change, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))


def test_slower() -> None:
    """By one figure; the other does not matter."""
    found = verdict("HEAD", [figure(0.031, 0.022, 0.04), figure(0.0, -0.1, 0.1, CPU)], 0.02, 0.0)

    assert found.kind == SLOWER
    assert found.text == "HEAD is 3.1 % (2.2 to 4.0 %) slower at service p50."


def test_a_regression_that_is_allowed() -> None:
    """Is said, and is no failure."""
    found = verdict("HEAD", [figure(0.031, 0.022, 0.04)], 0.02, 0.05)

    assert found.kind == SAME
    assert found.text.endswith("slower at service p50. That is within the 5 % that are allowed.")


def test_faster_and_cheaper() -> None:
    """Sizes have no sign, and their ends are in order."""
    both = [figure(-0.05, -0.06, -0.04), figure(-0.1, -0.12, -0.08, CPU)]
    found = verdict("HEAD", both, 0.02, 0.0)

    assert found.kind == FASTER
    assert found.text == (
        "HEAD is 5.0 % (4.0 to 6.0 %) faster at service p50."
        " It takes 10.0 % (8.0 to 12.0 %) less CPU time per request."
    )


def test_no_difference() -> None:
    """It names the largest that there may be."""
    found = verdict("HEAD", [figure(0.001, -0.01, 0.012)], 0.02, 0.0)

    assert found.kind == SAME
    assert found.text == ("No difference larger than 1.2 %: service p50 +0.1 % (-1.0 to +1.2 %).")


@pytest.mark.parametrize("ends", [(None, None), (-0.03, 0.04), (None, 0.01)])
def test_not_enough(ends: tuple[float | None, float | None]) -> None:
    """An interval that is too wide, or has no end, shows nothing."""
    assert verdict("HEAD", [figure(0.001, *ends)], 0.02, 0.0).kind == UNDECIDED


def test_a_change_beyond_the_precision_is_enough() -> None:
    """However wide its interval is."""
    assert figure(0.5, 0.2, 0.9).is_enough(0.02)
    assert not figure(0.05, 0.01, 0.09).is_enough(0.02)
