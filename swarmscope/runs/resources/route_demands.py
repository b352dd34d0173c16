"""How long the requests of each route held the places of a resource: exact differences of counters.

Only what services measure by route: workers, connections of pools, CPU (the same of `python` and of
`cpu`), and the time in the database and in other services.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from swarmscope.runs.counters import REQUESTS, WHOLE, Counters, Level, Values
from swarmscope.runs.resources.model import ResourceKey, RouteDemand

MAX_ROUTES = 20  # of a resource, those that held it longest; the rest is `OTHER`
OTHER = "other"
HELD = {
    "flask_http_request_held_seconds_total": ("workers",),
    "flask_db_pool_hold_seconds_sum": ("pool",),
}
PARTS = {"cpu": ("python", "cpu"), "db": ("database",), "http": ("service",)}
PART_SECONDS = "flask_http_request_part_seconds_total"
_NAMES = "|".join((REQUESTS, PART_SECONDS, *HELD))
Key = tuple[str, ...]
WHICH = f'__name__=~"{_NAMES}", part=~"|{"|".join(PARTS)}"'


def read(
    url: str,
    since: datetime,
    until: datetime,
    jobs: str,
    scrape_s: int,
    levels: Sequence[Level] = (),
    known: Collection[ResourceKey] = (),
) -> list[RouteDemand]:
    """Return the demands of the run and of its levels, at the services *jobs*.

    *jobs* is a regular expression; services are scraped every *scrape_s*. If one of a service's
    *known* resources is of a kind (one pool), that is what the demands are of; of several, nobody
    knows which. Raises `prometheus.Unavailable`.
    """
    counters = Counters(url, f"job=~{json.dumps(jobs, ensure_ascii=False)}", WHICH)
    spans = counters.in_spans(since, until, scrape_s, levels)
    numbers = WHOLE, *(level.number for level in levels)
    details = _only_details(known)
    found = [
        demand
        for number, values in zip(numbers, spans, strict=False)
        for demand in _demands(number, values, details)
    ]
    return _bounded(found)


def _only_details(known: Iterable[ResourceKey]) -> dict[Key, str]:
    """Return the detail of the resource that is a service's only one of its kind."""
    found: defaultdict[Key, list[str]] = defaultdict(list)
    for key in known:
        found[key.job, key.kind].append(key.detail)
    return {of: details[0] for of, details in found.items() if len(details) == 1}


def _demands(level: int, values: Values, details: Mapping[Key, str]) -> Iterator[RouteDemand]:
    requests: defaultdict[Key, float] = defaultdict(float)
    held: defaultdict[Key, float] = defaultdict(float)
    for labels, value in ((dict(series), value) for series, value in values.items()):
        name, of = labels.get("__name__", ""), (labels.get("job", ""), labels.get("url_rule", ""))
        if name == REQUESTS:
            requests[of] += value
        for kind in HELD.get(name) or PARTS.get(labels.get("part", ""), ()):
            held[*of, kind] += value
    for (job, route, kind), seconds in held.items():
        if seconds > 0:
            detail, number = details.get((job, kind), ""), round(requests[job, route])
            yield RouteDemand(level, job, kind, detail, route, seconds, number)


def _bounded(found: Sequence[RouteDemand]) -> list[RouteDemand]:
    """Return those of the routes that held most of each resource in the run, and the rest's sum."""
    longest = sorted((one for one in found if one.level == WHOLE), key=_less_time)
    shown: defaultdict[Key, list[str]] = defaultdict(list)
    for one in longest:
        if len(routes := shown[one.job, one.kind]) < MAX_ROUTES:
            routes.append(one.route)
    result: dict[tuple[int, str, str, str], RouteDemand] = {}
    for one in found:
        route = one.route if one.route in shown[one.job, one.kind] else OTHER
        key = one.level, one.job, one.kind, route
        before = result.get(key)
        result[key] = replace(
            one,
            route=route,
            held_s=one.held_s + (before.held_s if before else 0.0),
            requests=one.requests + (before.requests if before else 0),
        )
    return sorted(result.values(), key=lambda one: (one.level, _less_time(one)))


def _less_time(one: RouteDemand) -> tuple[float, str, str, str]:
    return -one.held_s, one.job, one.kind, one.route
