"""Change points beside those that other implementations of E-divisive find in the same series.

`other_implementations.json` has their answers, as `python -m benchmarks.change_points answers`
prints them; `recorded.json` has figures of real runs, whose database took four times as long from
one of them on (`python -m benchmarks.pairs`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.change_points import NEAR, asked
from swarmscope.runs.trend.change_points import change_points

HERE = Path(__file__).parent
PYTHON = os.environ.get("E_DIVISIVE_PYTHON")
FEW = "it parts off one or two runs, of which ours needs three"
END = "it looks for the end of the right segment, too, and so permutes against larger statistics"
CHANCE = "its permutations are others, and the chance is near 5 %"
MEANS = "it tests means with Student's t at 0.001: not spread, and little beside outliers"
DIFFERENT = {
    "signal-processing-algorithms": {
        "level, 3, skewed noise, 0": CHANCE,
        "slope, 3 in 20 runs, 1": CHANCE,
    },
    "Otava, original": {
        "level, 1 standard deviation, 1": FEW,
        "level, 1 standard deviation, 2": END,
        "level, 2, 1": FEW,
        "level, 3, 1": FEW,
        "level, 3, skewed noise, 0": CHANCE,
        "level, 3, skewed noise, 2": END,
        "slope, 6 in 20 runs, 1": END,
        "slope, 6 in 20 runs, 2": END,
        "spread, five times, 1": END,
        "level, up 3, up 3, down 6, 1": FEW,
    },
    "Otava": {
        "level, 1 standard deviation, 2": MEANS,
        "level, 3, two outliers, 1": MEANS,
        "level, 3, two outliers, 2": MEANS,
        "level, 3, skewed noise, 0": CHANCE,
        "level, 3, skewed noise, 2": END,
        "slope, 6 in 20 runs, 1": MEANS,
        "slope, 6 in 20 runs, 2": MEANS,
        "spread, five times, 1": MEANS,
        "level, up 3, up 3, down 6, 1": MEANS,
        "level, up 3, up 3, down 6, 2": MEANS,
        "response p95": FEW,
    },
}


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    """Return the series, and what others found in them."""
    return json.loads((HERE / "other_implementations.json").read_text())


@pytest.fixture(scope="module")
def ours(table) -> dict[str, list[int]]:
    """Return what is found here."""
    return {name: change_points(values) for name, values in table["series"].items()}


def are_alike(some: list[int], others: list[int]) -> bool:
    """Return whether these are the same changes, each within `NEAR` runs."""
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(abs(a - b) <= NEAR for a, b in pairs)


@pytest.mark.parametrize("other", DIFFERENT)
def test_others_find_the_same_but_for_what_is_explained(table, ours, other):
    answers = table["answers"][other]

    different = {name for name in ours if not are_alike(ours[name], answers[name])}
    assert different == DIFFERENT[other].keys()


@pytest.mark.parametrize(
    "name",
    ["response p50", "service p95 of GET /orders", "database mean of GET /orders", "rate"],
)
def test_a_change_in_recorded_runs_is_found_at_its_run(ours, name):
    """By every implementation, on a machine whose load was far above its cores."""
    at = json.loads((HERE / "recorded.json").read_text())["changed_at"]

    assert ours[name] == [at]


def test_what_did_not_change_in_recorded_runs_has_no_change(ours):
    assert ours["CPU mean of GET /report"] == []


@pytest.mark.proof
@pytest.mark.skipif(PYTHON is None, reason="E_DIVISIVE_PYTHON is not set: no apache-otava")
def test_the_table_has_what_others_answer(table):
    """The Python that is named has apache-otava, or signal-processing-algorithms."""
    assert PYTHON
    found = asked(PYTHON, table["series"])

    assert found
    for other, answers in found.items():
        assert answers == table["answers"][other]
