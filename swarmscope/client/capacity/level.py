"""What one level of a capacity search did, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmscope.runs.document import LevelFigures

HELD, BROKE, UNDECIDED = "held", "broke", "undecided"


def sentence(level: LevelFigures) -> str:
    """Return the line for the log."""
    figures = "no requests"
    if level.requests_per_s is not None and level.fail_ratio is not None:
        figures = (
            f"{level.requests_per_s:,.1f} requests/s, p95 {milliseconds(level.p95_ms)}, "
            f"{level.fail_ratio * 100:.3g} % failed"
        )
    own = ""
    if level.broken_endpoint:
        own = f"; {level.broken_endpoint}: p95 {milliseconds(level.endpoint_p95_ms)}"
    but = "; the load generator was saturated" if level.saturated else ""
    lasted = f" in {level.measured_s:,.0f} s" if level.measured_s > 0 else ""
    return f"{counted(level.users)} {level.outcome}: {figures}{lasted}{own}{but}"


def counted(users: int) -> str:
    """Return ``1 user`` or ``1,200 users``."""
    return f"{users:,} user{'' if users == 1 else 's'}"


def milliseconds(value: float | None) -> str:
    """Return a latency with its unit, for sentences."""
    if value is None:
        return "unknown"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"
