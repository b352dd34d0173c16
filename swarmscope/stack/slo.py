"""The SLO that settings name, for Prometheus's rules and the app's buckets."""

from __future__ import annotations

import re
from collections.abc import Mapping

RULES = {  # variable: (metric during a run, how many of the variable's units are one of its)
    "LOCUST_SLO_P95": ("locust_run_objective_seconds", 1000),
    "LOCUST_SLO_FAIL_RATIO": ("locust_run_objective_fail_ratio", 1),
}


def limit(environment: Mapping[str, str], variable: str) -> float | None:
    """Return the limit for all endpoints, without those of single ones; None if it is not set.

    Locust's variables hold one value or several: ``450`` or ``[450, GET /tests=300]``.
    """
    values = environment.get(variable, "").strip().removeprefix("[").removesuffix("]").split(",")
    numbers = [value.strip() for value in values if re.fullmatch(r"[\s\d.eE+-]+", value)]
    try:
        return float(numbers[-1]) if numbers else None
    except ValueError:
        return None


def with_objective(rules: str, environment: Mapping[str, str]) -> str:
    """Return the text of Prometheus's *rules* with the default objective of *environment*."""
    for variable, (metric, per_unit) in RULES.items():
        value = limit(environment, variable)
        if value is not None:
            pattern = rf"(expr: min\({metric}\) or vector)\([\d.]+\)"
            rules = re.sub(pattern, rf"\g<1>({value / per_unit:g})", rules)
    return rules
