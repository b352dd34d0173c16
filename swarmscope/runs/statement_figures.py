"""Statements and outgoing calls of a run as figures, and which of them were repeated, in words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from swarmscope.formatting import digits
from swarmscope.runs.call_counts import (
    NOT_TOLD_APART,
    OTHER,
    CallCount,
    CallCounts,
    Key,
    StatementCount,
)
from swarmscope.runs.counters import WHOLE
from swarmscope.runs.document import LevelCalls, OutgoingFigures, StatementFigures

MIN_REQUESTS = 10  # fewer may be a coincidence
MIN_REPEATS = 5  # of a text in each request; some are alike without being a loop
MIN_MS = 1.0  # of each request, that all repeated ones took
MAX_NAMED = 2  # texts in a sentence
MAX_WRITTEN = 120  # characters of a text in it


def statements(counts: CallCounts | None) -> list[StatementFigures] | None:
    """Return the statements of a run, those of the routes that spent most time in them first.

    None: not measured.
    """
    if counts is None:
        return None
    whole = [one for one in counts.statements if one.level == WHOLE]
    levels = _levels(counts.statements)
    seconds: dict[Key, float] = defaultdict(float)
    for one in whole:
        seconds[_route(one)] += one.seconds
    order = sorted(whole, key=lambda one: (-seconds[_route(one)], _route(one), -one.seconds))
    return [_statement(one, levels[one.key]) for one in order]


def outgoing(counts: CallCounts | None) -> list[OutgoingFigures] | None:
    """Return the outgoing calls of a run, those that took the most time first; see `statements`."""
    if counts is None:
        return None
    levels = _levels(counts.calls)
    return [
        OutgoingFigures(
            service=one.job,
            host=one.host,
            method=one.method,
            calls=one.calls,
            per_request=_ratio(one.calls, one.requests),
            mean_ms=_ms(one.seconds, one.calls),
            error_ratio=_ratio(one.errors, one.calls),
            levels=levels[one.key],
        )
        for one in counts.calls
        if one.level == WHOLE
    ]


def _levels(counts: Iterable[StatementCount] | Iterable[CallCount]) -> dict[Key, list[LevelCalls]]:
    found: dict[Key, list[LevelCalls]] = defaultdict(list)
    for one in counts:
        if one.level != WHOLE:
            found[one.key].append(
                LevelCalls(
                    level=one.level,
                    calls=one.calls,
                    per_request=_ratio(one.calls, one.requests),
                    mean_ms=_ms(one.seconds, one.calls),
                )
            )
    return found


def _statement(one: StatementCount, levels: list[LevelCalls]) -> StatementFigures:
    return StatementFigures(
        service=one.job,
        method=one.method,
        url_rule=one.url_rule,
        statement=one.statement,
        requests=one.requests,
        calls=one.calls,
        per_request=_ratio(one.calls, one.requests),
        time_ratio=_ratio(one.seconds, one.request_seconds),
        mean_ms=_ms(one.seconds, one.calls),
        max_ms=None if one.longest_s is None else 1000 * one.longest_s,
        rows=None if one.statement == NOT_TOLD_APART else one.rows,
        levels=levels,
    )


def _route(one: StatementCount) -> Key:
    return one.job, one.method, one.url_rule


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _ms(seconds: float, number: int) -> float | None:
    return 1000 * seconds / number if number else None


def route_of(figures: StatementFigures) -> str:
    """Return ``GET /orders``, or the rule alone where the method is not known."""
    return f"{figures.method} {figures.url_rule}".strip()


def text_of(figures: StatementFigures) -> str:
    """Return a statement's text, or what is shown in its place."""
    return figures.statement or "(not told apart: the service has no sqlparse)"


def sentences(found: Sequence[StatementFigures]) -> list[str]:
    """Return which routes repeat a statement in each request, one sentence each: an N+1.

    ``GET /orders: 41.2 statements per request, 39 of them SELECT … FROM items WHERE id = ?``
    """
    named = len({one.service for one in found}) > 1
    routes = groupby(found, lambda one: (one.service, one.method, one.url_rule))
    several = (list(group) for _, group in routes)
    return [text for route in several for text in _repeated(route, named)]


def _repeated(route: list[StatementFigures], named: bool) -> Iterator[str]:
    told_apart = (one for one in route if one.statement not in (OTHER, NOT_TOLD_APART))
    repeated = [one for one in told_apart if (one.per_request or 0.0) >= MIN_REPEATS]
    spent_ms = sum((one.per_request or 0.0) * (one.mean_ms or 0.0) for one in repeated)
    if route[0].requests < MIN_REQUESTS or spent_ms < MIN_MS:
        return
    service = f"{route[0].service}, " if named else ""
    whole = sum(one.per_request or 0.0 for one in route)
    texts = [
        f"{_number(one.per_request)} of them {_brief(one.statement)}"
        for one in repeated[:MAX_NAMED]
    ]
    yield (
        f"{service}{route_of(route[0])}: {_number(whole)} statements per request,"
        f" {' and '.join(texts)}"
    )


def _number(value: float | None) -> str:
    text = digits(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _brief(text: str) -> str:
    """Return a statement without the columns that it selects, unless they are computed."""
    text = re.sub(r"\bSELECT [^()]+? FROM ", "SELECT … FROM ", text, count=1, flags=re.I)
    return text if len(text) <= MAX_WRITTEN else text[: MAX_WRITTEN - 1] + "…"
