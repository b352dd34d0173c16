"""Statements and outgoing calls of a run as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from swarmscope.cli.tables import bare_table, harmless
from swarmscope.formatting import count, digits, percent
from swarmscope.runs.document import OutgoingFigures, StatementFigures
from swarmscope.runs.statement_figures import route_of, text_of

MAX_STATEMENTS = 20


def both(
    statements: Sequence[StatementFigures] | None,
    calls: Sequence[OutgoingFigures] | None,
    every: bool,
) -> Iterator[Table | str]:
    """Yield the tables, with a line between them; of *every* statement, or of the first ones."""
    yield ""
    if statements is None:
        yield "Statements were not measured."
    elif not statements:
        yield "No database statement was executed."
    else:
        yield _statements(statements if every else statements[:MAX_STATEMENTS])
        if (left := len(statements) - MAX_STATEMENTS) > 0 and not every:
            yield f"\n{left} more statements: --all"
    if calls:
        yield ""
        yield _calls(calls)


def _statements(found: Sequence[StatementFigures]) -> Table:
    """Return a row per statement, those of a route together; times in ms."""
    services = len({one.service for one in found}) > 1
    texts = ("service", "route", "statement") if services else ("route", "statement")
    table = bare_table(texts, ("per request", "of its time", "mean", "max", "rows"))
    before = None
    for one in found:
        names = (one.service, route_of(one)) if services else (route_of(one),)
        table.add_row(
            *(harmless("" if names == before else name) for name in names),
            harmless(text_of(one)),
            digits(one.per_request),
            percent(one.time_ratio),
            digits(one.mean_ms),
            digits(one.max_ms),
            count(one.rows),
        )
        before = names
    return table


def _calls(found: Sequence[OutgoingFigures]) -> Table:
    """Return a row per host and method that a service called; times in ms."""
    table = bare_table(("service", "calls to"), ("per request", "mean", "failed"))
    for one in found:
        table.add_row(
            harmless(one.service),
            harmless(f"{one.method} {one.host}"),
            digits(one.per_request),
            digits(one.mean_ms),
            percent(one.error_ratio),
        )
    return table
