"""A comparison with its verdict: whether anything regressed by more than is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swarmscope.runs.compare.comparison import Change, Comparison
from swarmscope.runs.model import Run
from swarmscope.runs.thresholds import CANNOT_TELL, CHECK_FAILED


@dataclass(frozen=True)
class JudgedComparison:
    """What `compare --json` prints; *regressions* is None without ``--max-regression``."""

    a: Run
    b: Run
    whole: bool
    warnings: list[str]
    changes: list[Change]
    spans: tuple[str, str]  # of what the figures of each run are
    max_regression: float | None
    regressions: list[Change] | None
    status: int


def judged(
    found: Comparison, doubts: Iterable[str], max_regression: float | None, is_partial: bool = False
) -> JudgedComparison:
    """Judge what a comparison *found*; *doubts* are more warnings, *max_regression* is a share.

    A run of which a part is missing *is partial*: it passes nothing.
    """
    regressions = None if max_regression is None else found.regressions(max_regression)
    status = CHECK_FAILED if regressions else 0
    if (
        max_regression is not None
        and not regressions
        and (is_partial or not found.clears(max_regression))
    ):
        status = CANNOT_TELL
    return JudgedComparison(
        found.a,
        found.b,
        found.whole,
        [*found.warnings, *doubts],
        found.changes,
        found.spans,
        max_regression,
        regressions,
        status,
    )
