"""Statements of a request: how often each was executed, for how long, and how many rows it had.

A statement's time is that of its execution and of fetching its rows. Its text is kept until the
request has ended, and leaves the process without its literals only (`sql_text`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any

from swarmscope.server.components.breakdown import DB, Breakdown, current

MAX_ROWS = 1 << 62  # PyMySQL's unbuffered cursors have more: unknown


class Executed:
    """The executions of one text in a request."""

    __slots__ = ("calls", "dialect", "longest_s", "rows", "seconds")

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.calls = self.rows = 0
        self.seconds = self.longest_s = 0.0


class Execution:
    """The latest execution of a cursor, whose *rows* may be unknown until they are fetched."""

    __slots__ = ("_executed", "_known", "_seconds")

    def __init__(self, executed: Executed, seconds: float, rows: int) -> None:
        self._executed, self._seconds = executed, 0.0
        self._known = 0 <= rows < MAX_ROWS
        executed.calls += 1
        if self._known:
            executed.rows += rows
        self.add(seconds, 0)

    def add(self, seconds: float, rows: int) -> None:
        """Add what fetching *rows* took."""
        executed = self._executed
        self._seconds += seconds
        executed.seconds += seconds
        if self._seconds > executed.longest_s:
            executed.longest_s = self._seconds
        if not self._known:
            executed.rows += rows


def executing(stock: Callable[..., Any], dialect: str) -> Callable[..., Any]:
    """Return the method *stock* of a cursor as a counted call, whose statement is noted."""

    @functools.wraps(stock)
    def execute(cursor: Any, *arguments: Any, **named: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[DB]:
            return stock(cursor, *arguments, **named)
        before = breakdown.enter(DB)
        if before == DB:  # part of one that is counted
            return stock(cursor, *arguments, **named)
        breakdown.calls[DB] += 1
        spent_s, rows = breakdown.seconds[DB], -1
        try:
            result = stock(cursor, *arguments, **named)
            rows = cursor.rowcount
            return result
        finally:
            breakdown.leave(before)
            text = arguments[0] if arguments else next(iter(named.values()), "")
            executed = _executed(
                breakdown, text if type(text) is str else _text(text, cursor), dialect
            )
            seconds = _spent_s(breakdown, before, spent_s)
            cursor.swarmscope_execution = Execution(executed, seconds, rows)

    return execute


def fetching(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method *stock* of a cursor as a call that belongs to its statement."""

    @functools.wraps(stock)
    def fetch(cursor: Any, *arguments: Any, **named: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[DB]:
            return stock(cursor, *arguments, **named)
        before = breakdown.enter(DB)
        if before == DB:
            return stock(cursor, *arguments, **named)
        spent_s, rows = breakdown.seconds[DB], None
        try:
            rows = stock(cursor, *arguments, **named)
            return rows
        finally:
            breakdown.leave(before)
            execution = getattr(cursor, "swarmscope_execution", None)
            if execution is not None:
                number = len(rows) if type(rows) is list else rows is not None
                execution.add(_spent_s(breakdown, before, spent_s), number)

    return fetch


def _spent_s(breakdown: Breakdown, before: Any, spent_s: float) -> float:
    """Return how long a call took, without calls of others in it."""
    if type(before) is tuple:  # in another thread or greenlet: since when
        return perf_counter() - float(before[1])
    return breakdown.seconds[DB] - spent_s


def _executed(breakdown: Breakdown, text: str, dialect: str) -> Executed:
    statements = breakdown.statements
    if statements is None:
        statements = breakdown.statements = {}
    executed = statements.get(text)
    if executed is None:
        executed = statements[text] = Executed(dialect)
    return executed


def _text(query: Any, cursor: Any) -> str:
    """Return the text of a *query* that is bytes, or composed by `psycopg.sql`; "" if unknown."""
    try:
        if isinstance(query, bytes):
            return query.decode(errors="replace")
        return str(query.as_string(cursor)) if hasattr(query, "as_string") else str(query)
    except Exception:  # whatever a driver raises for a broken one: it has raised that before
        return ""
