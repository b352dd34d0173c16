"""A service's routes, whatever they were read from, and which of them a scenario leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ANGLES = re.compile(r"<(?:(?P<kind>\w+)(?:\((?P<options>.*?)\))?:)?(?P<name>\w+)>")  # Werkzeug's
BRACES = re.compile(r"\{(?P<name>[\w-]+)(?::(?P<kind>\w+))?\}")  # of OpenAPI and others
HEALTH = re.compile(
    r"/(health|healthz|health[_-]?check|livez?|liveness|readyz?|readiness|ping|alive)(/\w+)?/?$",
    re.I,
)
MACHINES = re.compile(  # rules and views of what programs ask for, not users
    r"/metrics/?$|/(favicon\.ico|robots\.txt|sitemap\.xml)$|/static/|/(swagger|api-?docs)\b"
    r"|openapi|api-?spec\b|swagger[_-]?ui|redoc|rapidoc|/socket\.io\b|^/_",
    re.I,
)
LOGOUT = re.compile(r"/(log|sign)[_-]?out\b", re.I)
LOGIN = re.compile(r"/(log[_-]?in|sign[_-]?in|authenticate|session|token)s?/?$", re.I)


@dataclass(frozen=True)
class Argument:
    """A part of a rule that varies; *values* are those that are known to work."""

    name: str
    converter: str = "string"
    values: tuple[int | str, ...] = ()

    @property
    def pattern(self) -> str:
        """A regular expression for what may be in its place."""
        if self.values:
            return "|".join(map(re.escape, map(str, self.values))).join(("(?:", ")"))
        return {"path": ".+", "int": r"\d+"}.get(self.converter, "[^/]+")

    def takes(self, value: object) -> bool:
        """Return whether the converter accepts *value* in a URL."""
        if isinstance(value, bool) or value in (None, ""):
            return False
        if self.converter in ("int", "integer", "float", "number"):
            return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())
        if self.converter == "uuid":
            return (
                isinstance(value, str) and re.fullmatch(r"[\da-f-]{32,36}", value, re.I) is not None
            )
        text = str(value)
        return isinstance(value, int | str) and ("/" not in text or self.converter == "path")


Parts = tuple[str | Argument, ...]


@dataclass(frozen=True)
class Route:
    """A method of a rule; *name* is what its code calls it, *weight* its share of requests.

    *query* and *body* are examples that a description of the API gives; *needs* says what such a
    description demands and gives no example for.
    """

    method: str
    rule: str
    name: str = ""
    parts: Parts = ()
    weight: float = 1.0
    query: str = ""
    body: Any = None
    needs: str = ""

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The parts that vary."""
        return tuple(part for part in self.parts if isinstance(part, Argument))

    @property
    def shape(self) -> tuple[str, ...]:
        """What two ways of writing the same rule have in common."""
        return tuple("<>" if isinstance(part, Argument) else part for part in self.parts)

    @property
    def path(self) -> str:
        """The path of a rule without arguments."""
        return self.rule + self.query

    def matches(self, path: str) -> bool:
        """Return whether *path*, without a query, is one of the rule's."""
        pattern = "".join(re.escape(p) if isinstance(p, str) else p.pattern for p in self.parts)
        return re.fullmatch(pattern, path) is not None


def parse_rule(rule: str, arguments: re.Pattern[str] = ANGLES) -> Parts:
    """Split ``/items/<int:item_id>``, or ``/items/{item_id}``, into texts and arguments."""
    parts: list[str | Argument] = []
    end = 0
    for found in arguments.finditer(rule):
        parts += [rule[end : found.start()]] if found.start() > end else []
        groups = found.groupdict()
        values = _choices(groups.get("options") or "") if groups["kind"] == "any" else ()
        parts.append(Argument(groups["name"], groups["kind"] or "string", values))
        end = found.end()
    return (*parts, rule[end:]) if end < len(rule) else tuple(parts)


def _choices(options: str) -> tuple[str, ...]:
    return tuple(option.strip().strip("\"'") for option in options.split(",") if option.strip())


def routes_of(rules: Iterable[Mapping[str, Any]]) -> list[Route]:
    """Return the routes of an app's rules, as `describe_app` reports them, in their order.

    Of several views of the same rule, the first answers.
    """
    found = [
        Route(
            method,
            rule["rule"],
            rule["endpoint"],
            parse_rule(rule["rule"]),
            needs="" if method == "GET" else "add a request body",
        )
        for rule in rules
        for method in METHODS
        if method in rule["methods"]
    ]
    return list({(each.method, each.rule): each for each in reversed(found)}.values())[::-1]


def is_for_users(route: Route) -> bool:
    """Return whether users call the route: not static files, health, metrics, log-in, log-out."""
    others = (HEALTH, MACHINES, LOGOUT, LOGIN)
    is_static = route.name == "static" or route.name.endswith(".static")
    is_other = any(pattern.search(route.rule) for pattern in others) or MACHINES.search(route.name)
    return not (is_static or is_other)


def unmeasured(routes: Iterable[Route]) -> list[str]:
    """Return the paths of health checks and metrics, which no figure should count."""
    found = (r.rule for r in routes if r.method == "GET" and not r.arguments)
    return [rule for rule in dict.fromkeys(found) if HEALTH.search(rule) or rule == "/metrics"]
