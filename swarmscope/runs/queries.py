"""Queries of the runs database: its runs, and one run's summary, failures and judgements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString, TypeVar

from psycopg.rows import class_row

from swarmscope.runs.connection import Connection
from swarmscope.runs.model import ComponentSummary, FailureGroup, Judgement, Run, Summary, TaskError
from swarmscope.runs.selection import Selection

NEWEST_FAILURES = 10_000  # are read: each may be on a page of its own

Row = TypeVar("Row")


class NoSuchRun(LookupError):
    """No run, or more than one, has the given name; the text is the line for the user."""


def _rows(
    connection: Connection, kind: type[Row], query: LiteralString, *values: object
) -> list[Row]:
    """Return what *query* finds, each row as one of *kind*."""
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, values).fetchall()


def runs(connection: Connection, limit: int) -> list[Run]:
    """Return the latest *limit* runs, latest first."""
    return _rows(connection, Run, "SELECT * FROM run ORDER BY run_id DESC LIMIT %s", limit)


def runs_but(connection: Connection, limit: int, known: Mapping[datetime, Run]) -> list[Run]:
    """Return the latest *limit* runs, latest first; those in *known* are not queried."""
    query = "SELECT id FROM testrun ORDER BY id DESC LIMIT %s"
    ids = [run_id for (run_id,) in connection.execute(query, [limit]).fetchall()]
    wanted = [run_id for run_id in ids if run_id not in known]
    asked = _rows(connection, Run, "SELECT * FROM run WHERE run_id = ANY (%s)", wanted)
    found = {**known, **{run.run_id: run for run in asked}}
    return [found[run_id] for run_id in ids if run_id in found]


def find(connection: Connection, wanted: str) -> Run:
    """Return the run that *wanted* names: ``latest``, ``latest~N``, an id, or an id's beginning.

    Raises `NoSuchRun` when no run has that name, or several begin with it.
    """
    if match := re.fullmatch(r"latest(?:~(\d{1,9}))?", wanted):
        back = int(match[1] or 0)
        query = "SELECT id FROM testrun ORDER BY id DESC OFFSET %s LIMIT 1"
        found = connection.execute(query, [back]).fetchall()
    else:
        query = "SELECT id FROM testrun WHERE starts_with(run_text(id), %s) LIMIT 2"
        found = connection.execute(query, [wanted.replace("\0", "")]).fetchall()
    if len(found) != 1:
        problem = "several runs begin with" if found else "there is no run"
        raise NoSuchRun(f"{problem} {wanted!r}; `swarmscope runs` lists them")
    return by_id(connection, found[0][0])


def by_id(connection: Connection, run_id: datetime) -> Run:
    """Return the run with this very id; raises `NoSuchRun`."""
    for run in _rows(connection, Run, "SELECT * FROM run WHERE run_id = %s", run_id):
        return run
    raise NoSuchRun(f"there is no run {run_id}; `swarmscope runs` lists them")


def settings(connection: Connection, run: Run) -> dict[str, Any] | None:
    """Return the settings *run* was started with, a search's only of a capacity search.

    None where they were not recorded.
    """
    query = "SELECT settings FROM testrun WHERE id = %s"
    given: dict[str, Any] | None
    ((given,),) = connection.execute(query, [run.run_id]).fetchall()
    if given is None or run.capacity_search:
        return given
    return {name: value for name, value in given.items() if not name.startswith("capacity_")}


def verdict(connection: Connection, run_id: datetime) -> Judgement | None:
    """Return the verdict of a capacity search, None for any other run."""
    return _judgement(connection, run_id, "verdict")


def trust(connection: Connection, run_id: datetime) -> Judgement | None:
    """Return whether a run's generator can be trusted, None where nothing was measured."""
    return _judgement(connection, run_id, "trust")


def ended_early(connection: Connection, run_id: datetime) -> Judgement | None:
    """Return why ``--check-abort`` ended a run; `lost` in its details is the threshold's key."""
    return _judgement(connection, run_id, "ended_early")


def selection(connection: Connection, run_id: datetime) -> Selection:
    """Return which requests of a run count, by the options it was started with."""
    query = (
        "SELECT details->>'requests' FROM events WHERE run_id = %s AND kind = 'note'"
        " AND details ? 'requests' ORDER BY time LIMIT 1"
    )
    found = connection.execute(query, [run_id]).fetchone()
    return Selection.parse(found[0] if found else "")


def _judgement(connection: Connection, run_id: datetime, kind: str) -> Judgement | None:
    query = (
        "SELECT text, coalesce(details, '{}') AS details FROM events"
        " WHERE run_id = %s AND kind = %s ORDER BY time DESC LIMIT 1"
    )
    return next(iter(_rows(connection, Judgement, query, run_id, kind)), None)


def task_errors(connection: Connection, run_id: datetime) -> list[TaskError]:
    """Return the exceptions that tasks of a run raised, the most frequent first."""
    query = (
        "SELECT error, sum(count)::bigint AS count FROM task_error WHERE run_id = %s"
        " GROUP BY error ORDER BY count DESC, error"
    )
    return _rows(connection, TaskError, query, run_id)


def failures(connection: Connection, run_id: datetime, limit: int) -> list[FailureGroup]:
    """Return at most *limit* failures of a run, by endpoint and text, the most frequent first.

    Only the `NEWEST_FAILURES` are counted. Empty once raw requests are pruned.
    """
    query = "SELECT * FROM failures(%s, '-infinity', 'infinity', %s) LIMIT %s"
    return _rows(connection, FailureGroup, query, run_id, NEWEST_FAILURES, limit)


def component_summary(
    connection: Connection, run_id: datetime, whole: bool = False, names: list[str] | None = None
) -> list[ComponentSummary]:
    """Return what the service time was made of, by endpoint and component, over `judged_span`.

    Empty where no components were measured. *names* are request names, '' all endpoints together;
    None returns all of both.
    """
    query = "SELECT * FROM component_summary(%s, %s, %s::text[])"
    return _rows(connection, ComponentSummary, query, run_id, whole, names)


def summary(connection: Connection, run_id: datetime, whole: bool = False) -> list[Summary]:
    """Return all parts of all endpoints of a run, over the span that SQL's `judged_span` chose."""
    return _rows(connection, Summary, "SELECT * FROM summary(%s, %s)", run_id, whole)


def finished(connection: Connection, run_id: datetime) -> int:
    """Return how many requests of a run finished, including those whose raw rows were pruned."""
    query = "SELECT coalesce(sum(requests), 0) FROM summary(%s, true, '{response}', '{\"\"}')"
    return int(connection.execute(query, [run_id]).fetchall()[0][0])
