"""The objective that a run's options name, by which the whole run is judged when it is over."""

from __future__ import annotations

from typing import Any, NamedTuple


class RunObjective(NamedTuple):
    """Limits on the response time at p95, in ms, and on the share of failed requests, 0..1."""

    limit_ms: float
    fail_ratio: float


def named(options: Any) -> RunObjective | None:
    """Return the objective that Locust's parsed options name; None where they name none."""
    limit_ms = getattr(options, "slo_p95", None)
    fail_ratio = getattr(options, "slo_fail_ratio", None)
    if limit_ms is None or fail_ratio is None or not (limit_ms > 0 and 0 <= fail_ratio <= 1):
        return None
    return RunObjective(limit_ms, fail_ratio)
