"""Which endpoints a terminal shows of a run with very many: those that people look for first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from swarmscope.runs.model import Summary
from swarmscope.runs.selection import Endpoint

FEW = 30  # endpoints, all of which are shown
BUSIEST = 10
SLOWEST = 10
FAILING = 10

ALL_TOGETHER = ("", "")  # the endpoint that is all of them


def chosen(summaries: Iterable[Summary]) -> set[Endpoint]:
    """Return the endpoints to show: all of a few, else the busiest, slowest and most failing."""
    totals = [row for row in summaries if row.part == "response" and row.endpoint != ALL_TOGETHER]
    if len(totals) <= FEW:
        return {ALL_TOGETHER, *(row.endpoint for row in totals)}
    failing = [row for row in totals if row.failures]
    return {
        ALL_TOGETHER,
        *_first(totals, lambda row: row.requests, BUSIEST),
        *_first(totals, lambda row: row.p95_ms or 0.0, SLOWEST),
        *_first(failing, lambda row: row.failures, FAILING),
    }


def _first(
    rows: Sequence[Summary], figure: Callable[[Summary], float], number: int
) -> list[Endpoint]:
    ranked = sorted(rows, key=lambda row: (-figure(row), row.endpoint))
    return [row.endpoint for row in ranked[:number]]


def changed(verdicts: Iterable[tuple[Endpoint, str]]) -> set[Endpoint]:
    """Return the endpoints of a comparison to show: first what regressed, then what improved."""
    ranks: dict[Endpoint, int] = {}
    for place, verdict in verdicts:
        if place != ALL_TOGETHER:
            rank = {"worse": 0, "better": 1}.get(verdict, 2)
            ranks[place] = min(rank, ranks.get(place, rank))
    return {ALL_TOGETHER, *sorted(ranks, key=lambda place: ranks[place])[:FEW]}


def left_out(shown: int, there: int) -> str:
    """Return the sentence about endpoints that are not shown; '' where all are."""
    if shown >= there:
        return ""
    return (
        f"{there - shown:,} of {there:,} endpoints are left out. The {BUSIEST} busiest, the"
        f" {SLOWEST} slowest by p95 and up to {FAILING} with the most failures are shown; --all"
        " shows them all."
    )
