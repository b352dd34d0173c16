"""Statements of a request: how often each was executed, for how long, and how many rows it had.

A statement's time is that of its execution and of fetching its rows. Its text is kept until the
request has ended, and leaves the process without its literals only (`sql_text`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any

from swarmscope.server.components.breakdown import DB, OUTSIDE, SHORT_S, Breakdown, current

MAX_ROWS = 1 << 62  # PyMySQL's unbuffered cursors have more: unknown


class Executed:
    """The executions of one text in a request.

    Of the latest one, *latest_s* is its time so far, and `knows_rows` whether the driver has said
    how many rows it has: else they are those that are fetched.
    """

    __slots__ = ("calls", "dialect", "knows_rows", "latest_s", "longest_s", "rows", "seconds")

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.calls = self.rows = 0
        self.seconds = self.longest_s = self.latest_s = 0.0
        self.knows_rows = False


def executing(stock: Callable[..., Any], dialect: str) -> Callable[..., Any]:
    """Return the method *stock* of a cursor as a counted call, whose statement is noted.

    What `enter` and `leave` do is repeated here and in `fetching`: calling them costs as much.
    """

    @functools.wraps(stock)
    def execute(cursor: Any, *arguments: Any, **named: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[DB]:
            return stock(cursor, *arguments, **named)
        if breakdown.where != OUTSIDE or breakdown.identify() != breakdown.owner:
            return _execute_within(breakdown, stock, dialect, cursor, arguments, named)
        seconds, rows = breakdown.seconds, -1
        spent_s = seconds[DB]
        began = breakdown.entered_at = breakdown.since = perf_counter()
        if began - breakdown.read_at >= breakdown.gap_s:
            breakdown.read(began)
        breakdown.where, breakdown.any_call = DB, True
        try:
            result = stock(cursor, *arguments, **named)
            rows = cursor.rowcount
            return result
        finally:
            now = perf_counter()
            seconds[DB] = now_spent_s = seconds[DB] + now - breakdown.since
            all_s = now - began
            breakdown.in_calls_cpu_s += all_s if all_s < SHORT_S else breakdown.cpu_of_call(now)
            breakdown.where = OUTSIDE
            text = arguments[0] if arguments else next(iter(named.values()), "")
            _note(breakdown, dialect, cursor, text, rows, now_spent_s - spent_s)

    return execute


def _note(
    breakdown: Breakdown, dialect: str, cursor: Any, text: Any, rows: int, seconds: float
) -> None:
    """Count an execution."""
    breakdown.calls[DB] += 1
    if type(text) is not str:
        text = _text(text, cursor)
    statements = breakdown.statements
    if statements is None:
        statements = breakdown.statements = {}
    executed = statements.get(text)
    if executed is None:
        executed = statements[text] = Executed(dialect)
    cursor.swarmscope_executed = executed
    executed.calls += 1
    executed.seconds += seconds
    executed.latest_s = seconds
    if seconds > executed.longest_s:
        executed.longest_s = seconds
    executed.knows_rows = knows_rows = 0 <= rows < MAX_ROWS
    if knows_rows:
        executed.rows += rows


def _execute_within(
    breakdown: Breakdown,
    stock: Callable[..., Any],
    dialect: str,
    cursor: Any,
    arguments: Any,
    named: Any,
) -> Any:
    """Execute a statement within another call, or in another thread, greenlet or task."""
    before = breakdown.enter(DB)
    if before == DB:  # part of one that is counted
        return stock(cursor, *arguments, **named)
    began, spent_s, rows = perf_counter(), breakdown.seconds[DB], -1
    try:
        result = stock(cursor, *arguments, **named)
        rows = cursor.rowcount
        return result
    finally:
        breakdown.leave(before)
        took_s = breakdown.seconds[DB] - spent_s
        if type(before) is tuple:
            took_s = perf_counter() - began
        text = arguments[0] if arguments else next(iter(named.values()), "")
        _note(breakdown, dialect, cursor, text, rows, took_s)


def fetching(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method *stock* of a cursor as a call that belongs to its statement."""

    @functools.wraps(stock)
    def fetch(cursor: Any, *arguments: Any, **named: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[DB]:
            return stock(cursor, *arguments, **named)
        if breakdown.where != OUTSIDE or breakdown.identify() != breakdown.owner:
            return _fetch_within(breakdown, stock, cursor, arguments, named)
        seconds, rows = breakdown.seconds, None
        spent_s = seconds[DB]
        began = breakdown.entered_at = breakdown.since = perf_counter()
        if began - breakdown.read_at >= breakdown.gap_s:
            breakdown.read(began)
        breakdown.where, breakdown.any_call = DB, True
        try:
            rows = stock(cursor, *arguments, **named)
            return rows
        finally:
            now = perf_counter()
            seconds[DB] = now_spent_s = seconds[DB] + now - breakdown.since
            all_s = now - began
            breakdown.in_calls_cpu_s += all_s if all_s < SHORT_S else breakdown.cpu_of_call(now)
            breakdown.where = OUTSIDE
            _note_rows(cursor, rows, now_spent_s - spent_s)

    return fetch


def _note_rows(cursor: Any, rows: Any, seconds: float) -> None:
    """Count rows that were fetched, a list or one or None, for the statement of *cursor*."""
    executed = getattr(cursor, "swarmscope_executed", None)
    if executed is not None:
        executed.seconds += seconds
        executed.latest_s = latest_s = executed.latest_s + seconds
        if latest_s > executed.longest_s:
            executed.longest_s = latest_s
        if not executed.knows_rows:
            executed.rows += len(rows) if type(rows) is list else rows is not None


def _fetch_within(
    breakdown: Breakdown, stock: Callable[..., Any], cursor: Any, arguments: Any, named: Any
) -> Any:
    """Fetch within another call, or in another thread, greenlet or task."""
    before = breakdown.enter(DB)
    if before == DB:
        return stock(cursor, *arguments, **named)
    began, spent_s, rows = perf_counter(), breakdown.seconds[DB], None
    try:
        rows = stock(cursor, *arguments, **named)
        return rows
    finally:
        breakdown.leave(before)
        took_s = breakdown.seconds[DB] - spent_s
        if type(before) is tuple:
            took_s = perf_counter() - began
        _note_rows(cursor, rows, took_s)


def _text(query: Any, cursor: Any) -> str:
    """Return the text of a *query* that is bytes, or composed by `psycopg.sql`; "" if unknown."""
    try:
        if isinstance(query, bytes):
            return query.decode(errors="replace")
        return str(query.as_string(cursor)) if hasattr(query, "as_string") else str(query)
    except Exception:  # whatever a driver raises for a broken one: it has raised that before
        return ""
