"""The SLO of the settings in Prometheus's rules."""

from __future__ import annotations

import pytest

from swarmscope.stack.shipped import shipped
from swarmscope.stack.slo import limit, with_objective


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("300", 300),
        ("300.5", 300.5),
        ("[300, GET /tests=200]", 300),
        ("GET /tests=200", None),
        ("soon", None),
        ("-", None),
        ("", None),
    ],
)
def test_the_limit_for_all_endpoints(value: str, found: float | None) -> None:
    """Those of single endpoints are left out, as is what Locust will refuse."""
    assert limit({"LOCUST_SLO_P95": value}, "LOCUST_SLO_P95") == found


def test_the_rules_default() -> None:
    """Seconds there, milliseconds in the setting; without settings nothing changes."""
    rules = (shipped() / "prometheus/rules.yml").read_text()

    changed = with_objective(rules, {"LOCUST_SLO_P95": "300", "LOCUST_SLO_FAIL_RATIO": "0.05"})

    assert with_objective(rules, {}) == rules
    assert "expr: min(locust_run_objective_seconds) or vector(0.3)\n" in changed
    assert "expr: min(locust_run_objective_fail_ratio) or vector(0.05)\n" in changed
