"""The true mix of requests: a service's own counts by method and route, from its metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.routes import ANGLES, BRACES, METHODS, Route, parse_rule

Counts = Mapping[tuple[str, str], float]  # requests by method and route

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)\{(.*)\}\s+([-+\w.]+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ROUTE_LABELS = (
    "url_rule",
    "route",
    "handler",
    "path",
    "url_path",
    "uri",
    "url",
    "endpoint",
    "view",
)
METHOD_LABELS = ("method", "http_method", "verb")
STATUS_LABELS = ("status", "code", "status_code", "http_status")
USUAL_FAMILIES = (  # a family that counts each request once, the likeliest first
    "flask_http_request_duration_seconds_count",
    "flask_http_request_total",
    "http_requests_total",
    "http_request_duration_seconds_count",
    "flask_request_count_total",
    "http_server_request_duration_seconds_count",
)
OTHER_FAMILIES = re.compile(r"request\w*_(count|total)$")
NO_ROUTE = ("404", "405")


def counts_of(metrics: str, source: str) -> Counts:
    """Return the requests by method and route in *metrics*, text of Prometheus.

    Of several families the first usual one counts. Raises `Unclear`, naming *source*, if none has
    labels of a method and a route.
    """
    families: dict[str, dict[tuple[str, str], float]] = {}
    for family, labels, value in _samples(metrics):
        key = _key(labels)
        if key and value > 0:
            counts = families.setdefault(family, {})
            counts[key] = counts.get(key, 0) + value
    if not families:
        raise Unclear(
            f"{source} counts no requests by method and route; expected a metric"
            f' such as {USUAL_FAMILIES[0]}{{method="GET",url_rule="/items"}}'
        )
    return families[min(families, key=_rank)]


def _samples(metrics: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in metrics.splitlines():
        found = SAMPLE.match(line)
        if found and (found[1] in USUAL_FAMILIES or OTHER_FAMILIES.search(found[1])):
            labels = {name: re.sub(r"\\(.)", r"\1", text) for name, text in LABEL.findall(found[2])}
            yield found[1], labels, float(found[3])


def _rank(family: str) -> tuple[int, str]:
    known = family in USUAL_FAMILIES
    return USUAL_FAMILIES.index(family) if known else len(USUAL_FAMILIES), family


def _key(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Return method and route, None for a request that no route answered."""
    if _first(labels, STATUS_LABELS) in NO_ROUTE:
        return None
    method, route = _first(labels, METHOD_LABELS).upper(), _first(labels, ROUTE_LABELS)
    return (method, route) if method in METHODS and route not in ("", "None", "none") else None


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((labels[name] for name in names if name in labels), "")


def routes_called(counts: Counts) -> list[Route]:
    """Return the routes that *counts* name, weighted, for a service whose rules are not known."""
    return [
        _route(method, route, count)
        for (method, route), count in counts.items()
        if route.startswith("/")
    ]


def _route(method: str, route: str, count: float = 1) -> Route:
    """Return the route of a label, which writes arguments as Flask or as others do."""
    arguments = ANGLES if "<" in route else BRACES
    return Route(method, route, parts=parse_rule(route, arguments), weight=count)


def weighted(routes: Iterable[Route], counts: Counts) -> list[Route]:
    """Return those of *routes* that were called, weighted by *counts*."""
    known = list(routes)
    weights: dict[int, float] = {}
    for (method, route), count in counts.items():
        number = _index(known, method, route)
        if number is not None:
            weights[number] = weights.get(number, 0) + count
    return [replace(known[number], weight=weight) for number, weight in sorted(weights.items())]


def _index(known: list[Route], method: str, route: str) -> int | None:
    """Return which route a label names: by its rule, its endpoint, or a path of it."""
    shape = _route(method, route).shape
    own = [(number, each) for number, each in enumerate(known) if each.method == method]
    same = [
        number for number, each in own if route in (each.rule, each.name) or each.shape == shape
    ]
    return next(iter([*same, *(number for number, each in own if each.matches(route))]), None)
