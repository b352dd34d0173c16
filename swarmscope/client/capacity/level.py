"""What one level of a capacity search did, in figures and as a line."""

from __future__ import annotations

from swarmscope.client.capacity.figures import Measured
from swarmscope.runs.document import LevelFigures

HELD, BROKE, UNDECIDED = "held", "broke", "undecided"


def level_figures(
    users: int,
    outcome: str,
    figures: Measured,
    seconds: float,
    saturated: bool,
    limited: bool,
    endpoint: str | None,
) -> LevelFigures:
    """Return what *figures*, measured for *seconds*, amount to.

    *endpoint* is the one that exceeded a limit of its own.
    """
    requests = figures.requests
    own = figures.endpoints.get(endpoint or "", Measured())
    return LevelFigures(
        users=users,
        outcome=outcome,
        measured_s=seconds,
        requests=requests,
        requests_per_s=requests / seconds if seconds > 0 else None,
        fail_ratio=figures.failed / requests if requests else None,
        p50_ms=figures.percentile_ms("response", 0.5),
        p95_ms=figures.percentile_ms("response", 0.95),
        p99_ms=figures.percentile_ms("response", 0.99),
        service_p95_ms=figures.percentile_ms("service", 0.95),
        queue_p95_ms=figures.percentile_ms("queue", 0.95),
        outside_p95_ms=figures.percentile_ms("outside", 0.95),
        broken_endpoint=endpoint,
        endpoint_p95_ms=own.percentile_ms("response", 0.95),
        saturated=saturated,
        limited=limited,
    )


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
    return f"{level.users:,} users {level.outcome}: {figures}{lasted}{own}{but}"


def milliseconds(value: float | None) -> str:
    """Return a latency with its unit, for sentences."""
    if value is None:
        return "unknown"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"
