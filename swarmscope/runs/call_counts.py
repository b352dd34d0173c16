"""Statements and outgoing calls that a run's services counted: exact differences of their counters.

Requests come from the same scrapes, so that numbers per request are right wherever the ends of a
span are between two scrapes.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from swarmscope.runs.counters import REQUESTS, WHOLE, Counters, Level, Values, is_count
from swarmscope.runs.prometheus import Prometheus

MAX_STATEMENTS = 50  # of a service, those that took the most time; the rest of a route is `OTHER`
MAX_CALLS = 50  # hosts and methods of a service, likewise
OTHER = "other"
NOT_TOLD_APART = ""

REQUEST_SECONDS = "flask_http_request_duration_seconds_sum"
EXECUTED, ROWS, SECONDS = (f"flask_db_statement_{n}_total" for n in ("calls", "rows", "seconds"))
DB_CALLS, DB_SECONDS = "flask_http_request_calls_total", "flask_http_request_part_seconds_total"
CALLED, CALL_SECONDS = (f"flask_http_outgoing_{n}_total" for n in ("calls", "seconds"))
LONGEST = "flask_db_statement_longest_seconds"
_ROUTE = ("job", "method", "url_rule")
_STATEMENT = (*_ROUTE, "statement")
KEYS = {
    REQUESTS: _ROUTE,
    REQUEST_SECONDS: _ROUTE,
    EXECUTED: _STATEMENT,
    ROWS: _STATEMENT,
    SECONDS: _STATEMENT,
    LONGEST: _STATEMENT,
    DB_CALLS: ("job", "url_rule"),
    DB_SECONDS: ("job", "url_rule"),
    CALLED: ("job", "host", "method", "outcome"),
    CALL_SECONDS: ("job", "host", "method"),
}
COUNTERS = "|".join(name for name in KEYS if name != LONGEST)

Key = tuple[str, ...]  # a metric, and its labels in the order of `KEYS`


@dataclass(frozen=True)
class StatementCount:
    """What one statement of a route did in a span, and what the route's requests took.

    `method` is "" for statements that are not told apart.
    """

    level: int
    job: str
    method: str
    url_rule: str
    statement: str
    requests: int
    request_seconds: float
    calls: int
    rows: int
    seconds: float
    longest_s: float | None = None  # of the whole run only

    @property
    def key(self) -> Key:
        """What it is, whatever the level."""
        return self.job, self.method, self.url_rule, self.statement


@dataclass(frozen=True)
class CallCount:
    """The calls of one service to one host in a span, and the service's requests."""

    level: int
    job: str
    host: str
    method: str
    requests: int
    calls: int
    errors: int
    seconds: float

    @property
    def key(self) -> Key:
        """What it is, whatever the level."""
        return self.job, self.host, self.method


@dataclass(frozen=True)
class CallCounts:
    """What was counted in the whole run, and at each of its levels."""

    statements: Sequence[StatementCount] = ()
    calls: Sequence[CallCount] = ()


def read(
    url: str,
    since: datetime,
    until: datetime,
    jobs: str,
    scrape_s: int,
    levels: Sequence[Level] = (),
) -> CallCounts:
    """Return what the services *jobs*, a regular expression, counted in [since, until].

    They are scraped every *scrape_s*. Raises `prometheus.Unavailable`.
    """
    who = f"job=~{json.dumps(jobs, ensure_ascii=False)}"
    counters = Counters(url, who, f'__name__=~"{COUNTERS}", part=~"|db"')
    whole, *parts = counters.in_spans(since, until, scrape_s, levels)
    longest = _longest(url, who, since.timestamp(), until.timestamp() + scrape_s)
    spans = [_Span(WHOLE, whole, longest)]
    spans += [_Span(level.number, part, {}) for level, part in zip(levels, parts, strict=False)]
    statements = [span.statements() for span in spans]
    calls = [span.calls() for span in spans]
    shown = _most(statements[WHOLE], MAX_STATEMENTS) | _most(calls[WHOLE], MAX_CALLS)
    return CallCounts(
        [one for found in statements for one in _with_rest(found, shown)],
        [one for found in calls for one in found if one.key in shown],
    )


def _most(found: Sequence[StatementCount] | Sequence[CallCount], number: int) -> set[Key]:
    """Return the keys of the first *number* of each service."""
    numbers, keys = Counter[str](), set[Key]()
    for one in found:
        numbers[one.job] += 1
        if numbers[one.job] <= number:
            keys.add(one.key)
    return keys


def _with_rest(found: Sequence[StatementCount], shown: Collection[Key]) -> list[StatementCount]:
    """Return those that are *shown*, and what the others of each route did together."""
    result = {one.key: one for one in found if one.key in shown}
    for one in found:
        if one.key not in shown:
            rest = replace(one, statement=OTHER, longest_s=None)
            before = result.get(rest.key)
            result[rest.key] = rest if before is None else _together(before, rest)
    return list(result.values())


def _together(one: StatementCount, another: StatementCount) -> StatementCount:
    return replace(
        one,
        calls=one.calls + another.calls,
        rows=one.rows + another.rows,
        seconds=one.seconds + another.seconds,
        longest_s=None,
    )


class _Span:
    """What was counted in a span, by metric and labels."""

    def __init__(self, level: int, counted: Values, longest: Mapping[Key, float]) -> None:
        self._level, self._longest = level, longest
        self._sums: defaultdict[Key, float] = defaultdict(float)
        for labels, value in ((dict(series), value) for series, value in counted.items()):
            if labels.get("__name__") not in KEYS:  # no answer to what was asked
                continue
            key = _key(labels)
            self._sums[key] += value
            if key[0] in (REQUESTS, REQUEST_SECONDS):  # of the service, and of all methods
                _, job, _, rule = key
                self._sums[key[0], job] += value
                self._sums[key[0], job, "", rule] += value

    def statements(self) -> list[StatementCount]:
        """Return the statements, those that took the most time first."""
        told_apart = {job for _, job, *_ in self._counted(EXECUTED)}
        found = [self._statement(*key[1:]) for key in self._counted(EXECUTED)]
        for _, job, rule in self._counted(DB_CALLS):
            if job not in told_apart:
                whole = self._statement(job, "", rule, NOT_TOLD_APART)
                calls, seconds = (self._sums[name, job, rule] for name in (DB_CALLS, DB_SECONDS))
                found.append(replace(whole, calls=round(calls), seconds=seconds))
        return sorted(found, key=_less_time)

    def calls(self) -> list[CallCount]:
        """Return the outgoing calls, those that took the most time first."""
        places = {key[1:4] for key in self._counted(CALLED)}
        return sorted((self._call(*place) for place in sorted(places)), key=_less_time)

    def _call(self, job: str, host: str, method: str) -> CallCount:
        errors = self._number(CALLED, job, host, method, "error")
        return CallCount(
            level=self._level,
            job=job,
            host=host,
            method=method,
            requests=self._number(REQUESTS, job),
            calls=self._number(CALLED, job, host, method, "ok") + errors,
            errors=errors,
            seconds=self._sums[CALL_SECONDS, job, host, method],
        )

    def _statement(self, job: str, method: str, rule: str, text: str) -> StatementCount:
        route, key = (job, method, rule), (job, method, rule, text)
        return StatementCount(
            self._level,
            *key,
            requests=self._number(REQUESTS, *route),
            request_seconds=self._sums[REQUEST_SECONDS, *route],
            calls=self._number(EXECUTED, *key),
            rows=self._number(ROWS, *key),
            seconds=self._sums[SECONDS, *key],
            longest_s=self._longest.get((LONGEST, *key)),
        )

    def _counted(self, name: str) -> list[Key]:
        return [key for key, value in self._sums.items() if key[0] == name and value > 0]

    def _number(self, *key: str) -> int:
        return round(self._sums[key])


def _longest(url: str, who: str, start: float, end: float) -> dict[Key, float]:
    """Return the longest execution of each statement."""
    by, span = ", ".join(KEYS[LONGEST]), f"[{ceil(end - start)}s]"
    query = f"max by ({by}) (max_over_time({LONGEST}{{{who}}}{span}))"
    return {
        _key({**line.metric, "__name__": LONGEST}): value
        for line in Prometheus(url).at(end, query)
        if line.value and is_count(value := float(line.value[1]))
    }


def _key(labels: Mapping[str, str]) -> Key:
    name = labels["__name__"]
    return (name, *(labels.get(label, "") for label in KEYS[name]))


def _less_time(one: StatementCount | CallCount) -> float:
    return -one.seconds
