"""A comparison in words and figures, for terminals and Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from swarmscope.formatting import digits, percent, printable
from swarmscope.runs.compare.comparison import FAIL_RATIO, RATE, Change
from swarmscope.runs.compare.judged import JudgedComparison
from swarmscope.runs.histogram import CALLS, COMPONENTS
from swarmscope.runs.thresholds import CANNOT_TELL

WORDS = {"worse": "worse", "better": "better", "same": "no clear change", "unknown": "unknown"}
ALL_ENDPOINTS = "all endpoints"
MAX_NAMED = 5  # regressions, below the table
MAX_PARTS = 2  # components that changed, below the table, and as many numbers of calls
LABELS = {RATE: "req/s", FAIL_RATIO: "failed"}


def conclusion(answer: JudgedComparison) -> Iterator[str]:
    """Yield of which span the figures are, what changed most, and the verdict."""
    same = answer.spans[0] == answer.spans[1]
    yield f"{answer.spans[0]}." if same else "A: {}. B: {}.".format(*answer.spans)
    yield "All intervals hold jointly with 95 % confidence, for what varies within a run."
    if parts := _parts(answer.changes):
        yield f"Mean per request: {parts}."
    yield from verdict(answer)


def verdict(answer: JudgedComparison) -> Iterator[str]:
    """Yield what --max-regression says; nothing without it."""
    if answer.max_regression is None:
        return
    limit = f"{answer.max_regression * 100:g} %"
    if answer.status == CANNOT_TELL:
        yield f"Cannot tell whether the p95 of all requests regressed by more than {limit}:"
        yield f"its change {_range(answer.changes)}. Longer runs narrow that down."
    elif answer.regressions:
        yield f"Regressed by more than {limit}: {_list(answer.regressions)}."
    else:
        yield f"No regression by more than {limit}: certain for the p95 of all requests, and"
        yield "nothing else regressed beyond noise."


def _parts(changes: list[Change]) -> str:
    """Return in words which components and calls of single endpoints changed most, beyond noise."""
    single = [c for c in changes if (c.name or c.request_type) and c.verdict in ("worse", "better")]
    single.sort(key=lambda change: -abs(change.b - change.a))
    most = [[c for c in single if c.part in parts][:MAX_PARTS] for parts in (COMPONENTS, CALLS)]
    return "; ".join(
        f"{change.part.replace('_', ' ')} of {endpoint(change)}"
        f" {digits(change.a)} → {digits(change.b)}{' ms' if change.part in COMPONENTS else ''}"
        for change in chain(*most)
    )


def _range(changes: list[Change]) -> str:
    """Return in words the interval of the change of the p95 of all requests."""
    for change in changes:
        if (endpoint(change), change.part, change.measure) == (ALL_ENDPOINTS, "response", "p95"):
            low, high = (_signed(end, "%") for end in (change.low, change.high))
            return f"is between {low} and {high}" if (low, high) != ("?", "?") else "is not known"
    return "is not known"


def _list(changes: list[Change]) -> str:
    named = [f"{label(c)} ({endpoint(c)})" for c in changes[:MAX_NAMED]]
    more = len(changes) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def endpoint(change: Change) -> str:
    """Return the name of its endpoint as text that is fit to be printed."""
    return printable(f"{change.request_type} {change.name}".strip()) or ALL_ENDPOINTS


def label(change: Change) -> str:
    """Return the name of its figure."""
    if change.part in CALLS:
        return change.part.replace("_", " ")
    return LABELS.get(change.measure) or f"{change.part} {change.measure}"


def figures(change: Change) -> tuple[str, ...]:
    """Return both values, the change and its interval."""
    share = change.measure == FAIL_RATIO
    show = percent if share else digits
    ends = (change.change, change.low, change.high)
    signed = (_signed(end, " pp" if share else "%") for end in ends)
    return (show(change.a), show(change.b), *signed)


def _signed(share: float | None, unit: str) -> str:
    if share is None:
        return "?"
    digits = 2 if unit != "%" else 0 if abs(share) >= 1 else 1
    return f"{share * 100:+,.{digits}f}{unit}"
