"""The verb ``export``: a run's raw requests as CSV, however many there are.

A text that a spreadsheet would take for a formula begins with an apostrophe, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection), and so does one that looks like such a text
already: whoever takes one apostrophe off gets what was stored. Control characters are spelt out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import click
import psycopg

from swarmscope import atomic_files
from swarmscope.cli.database import database_option, reading
from swarmscope.formatting import without_controls
from swarmscope.runs import queries
from swarmscope.runs.model import Run

Connection = psycopg.Connection[Any]

SLICE = timedelta(minutes=1)  # what is sorted at once
MARGIN = timedelta(hours=1)  # a clock may have been off, and what came late was due before


def _text(column: str) -> str:
    """Return the expression for a text of others, which is never a formula."""
    formula = r"^''*[-=+@\t\r\n＝＋－＠]"
    return f"CASE WHEN {column} ~ '{formula}' THEN '''' || {column} ELSE {column} END"


# Names have their units; `time` is the request's start, of an open workload when it was due.
COLUMNS = {
    "time": "run_text(time)",
    "name": _text("name"),
    "request_type": _text("request_type"),
    "response_time_ms": "response_time",
    "queue_ms": "queue_ms",
    "app_ms": "app_ms",
    "late_ms": "late_ms",
    "success": "success",
    "exception": _text("exception"),
    "response_length_bytes": "response_length",
    "url": _text("url"),
    "trace_id": "trace_id",
    "context": "context",
    "worker": _text("loadgen"),
    "pid": "pid",
    "greenlet_id": "greenlet_id",
}
_SELECTED = ", ".join(f'{expression} AS "{name}"' for name, expression in COLUMNS.items())
_QUERY = (
    f"COPY (SELECT {_SELECTED} FROM request"
    " WHERE run_id = %s AND time >= %s AND time < %s ORDER BY time, name)"
    " TO STDOUT (FORMAT csv, HEADER {header})"
)


@click.command()
@click.argument("run", default="latest")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    default="-",
    metavar="FILE",
    help="Where to; standard output unless given. A file is there when all of it is.",
)
@database_option
def export(run: str, output: Path, database: str | None) -> None:
    """Write a run's raw requests as CSV, in the order of their starts.

    RUN is latest, latest~1, an id, or an id's beginning. Raw requests are kept for 30 days unless
    the database's setting says otherwise; what is no longer there is said at the end. A text that
    would be a formula to a spreadsheet (= + - @ or a tab first) gets an apostrophe before it, and
    control characters are spelt out (ESC as \\x1b).
    """
    try:
        if str(output) != "-":
            atomic_files.check(output)
        with reading(database) as connection:
            found = queries.find(connection, run)
            with _opened(output) as file:
                count = write_requests(connection, found, file)
            expected = queries.finished(connection, found.run_id)
    except atomic_files.Unwritable as error:
        raise click.ClickException(str(error)) from error
    missing = f" of {expected:,}: the others were pruned or did not fit" if count < expected else ""
    click.echo(f"{count:,} requests{missing}.", err=True)


def write_requests(connection: Connection, run: Run, file: IO[bytes]) -> int:
    """Write all raw requests of *run* to *file*; return how many.

    Memory is bounded here by a row and in the database by a minute's requests. Time in which no
    request started is skipped: a clock that was wrong may have put years between two of them.
    """
    since, end = _extent(connection, run)
    count, header = 0, True
    with connection.cursor() as cursor:
        while since < end:
            query = _QUERY.format(header=str(header).lower())
            until = min(since + SLICE, end)
            with cursor.copy(query, [run.run_id, since, until]) as copy:
                for block in copy:
                    file.write(without_controls(bytes(block)))
            count, header = count + cursor.rowcount, False
            since = until if cursor.rowcount else _next_start(connection, run, until, end)
    return count


def _extent(connection: Connection, run: Run) -> tuple[datetime, datetime]:
    """Return between which times all requests of a run started."""
    row = connection.execute(
        "SELECT least(%(run)s, min(time) - make_interval(secs => max(max_ms) / 1000)),"
        " greatest(%(run)s, max(time) + make_interval(secs => max(resolution))) FROM histogram"
        " WHERE run_id = %(run)s AND resolution = 60 AND part = 'total'"
        " AND name = '' AND request_type = ''",
        {"run": run.run_id},
    ).fetchall()[0]
    return row[0] - MARGIN, row[1] + MARGIN


def _next_start(connection: Connection, run: Run, since: datetime, end: datetime) -> datetime:
    """Return when the first request from *since* on started; *end* when there is none before it."""
    row = connection.execute(
        "SELECT coalesce(min(time), %(end)s) FROM request"
        " WHERE run_id = %(run)s AND time >= %(since)s AND time < %(end)s",
        {"run": run.run_id, "since": since, "end": end},
    ).fetchall()[0]
    found: datetime = row[0]
    return found


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open *path* such that a file is there only when all of it is; ``-`` is standard output."""
    if str(path) != "-":
        with atomic_files.written(path) as file:
            yield file
        return
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # click ends quietly when its reader has had enough
        raise
    except OSError as error:
        raise atomic_files.Unwritable(
            f"standard output cannot be written: {error.strerror}"
        ) from error
