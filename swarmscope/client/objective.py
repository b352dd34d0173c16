"""Limits on response time and failures, such as the objective that a run's options name."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Limits on the response time at p95, in ms, and on failures, 0..1; inf and 1 are none."""

    limit_ms: float = inf
    fail_ratio: float = 1.0


def objective_of(options: Any) -> Limits | None:
    """Return the objective that Locust's parsed options name; None where they name none."""
    limit_ms = getattr(options, "slo_p95", None)
    fail_ratio = getattr(options, "slo_fail_ratio", None)
    if limit_ms is None or fail_ratio is None or not (limit_ms > 0 and 0 <= fail_ratio <= 1):
        return None
    return Limits(limit_ms, fail_ratio)
