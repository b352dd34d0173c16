"""The mix from a service's own counts, as several exporters write them."""

from __future__ import annotations

import pytest

from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.routes import Route, parse_rule
from swarmscope.onboarding.traffic import counts_of, routes_called, weighted

EXPORTER = """
# HELP DURATION Flask HTTP request duration in seconds
# TYPE DURATION histogram
DURATION_bucket{le="0.1",method="GET",status="200",url_rule="/items"} 60.0
DURATION_count{method="GET",status="200",url_rule="/items"} 60.0
DURATION_count{method="GET",status="304",url_rule="/items"} 3.0
DURATION_count{method="GET",status="200",url_rule="/items/<int:item_id>"} 27.0
DURATION_count{method="GET",status="404",url_rule="None"} 900.0
DURATION_count{method="POST",status="201",url_rule="/items"} 10.0
flask_http_request_total{method="GET",status="200"} 99.0
up 1.0
""".replace("DURATION", "flask_http_request_duration_seconds")
HANDLER = """
http_requests_total{code="200",handler="/items/{item_id}",method="get"} 5
http_requests_total{code="200",handler="/items",method="get"} 7 1700000000
http_requests_total{code="200",handler="none",method="get"} 7
"""
PATHS = """
http_requests_total{path="/items/3",method="GET",status="200"} 5
http_requests_total{path="/items/7",method="GET",status="200"} 2
http_requests_total{path="/items/none",method="GET",status="404"} 4
"""
ENDPOINTS = """
shop_request_count{endpoint="items.show",http_method="GET",http_status="200"} 4
"""
RULES = {"/items": "items.list", "/items/<int:item_id>": "items.show", "/": "index"}
ROUTES = [Route("GET", rule, name, parse_rule(rule)) for rule, name in RULES.items()]


@pytest.mark.parametrize(
    ("metrics", "mix"),
    [
        (EXPORTER, {"/items": 63, "/items/<int:item_id>": 27}),
        (HANDLER, {"/items": 7, "/items/<int:item_id>": 5}),
        (PATHS, {"/items/<int:item_id>": 7}),
        (ENDPOINTS, {"/items/<int:item_id>": 4}),
    ],
    ids=["prometheus-flask-exporter", "handler", "paths", "endpoints"],
)
def test_counts_are_matched_with_rules(metrics: str, mix: dict[str, float]) -> None:
    """What was not called is left out; what no rule answered does not count."""
    found = weighted(ROUTES, counts_of(metrics, "text"))

    assert {route.rule: route.weight for route in found} == mix


def test_a_service_whose_rules_are_not_known() -> None:
    """Its labels are its rules."""
    assert [(r.method, r.rule, r.weight) for r in routes_called(counts_of(EXPORTER, "text"))] == [
        ("GET", "/items", 63),
        ("GET", "/items/<int:item_id>", 27),
        ("POST", "/items", 10),
    ]


def test_metrics_without_routes() -> None:
    """The exporter's total alone does not say which."""
    with pytest.raises(Unclear, match="text counts no requests by method and route"):
        counts_of('flask_http_request_total{method="GET",status="200"} 99.0', "text")
