"""The verb ``export``: a run's raw requests as CSV, however many there are, or the rest of it.

Text that a spreadsheet would read as a formula is prefixed with an apostrophe, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection), and so is text that already looks escaped:
removing one apostrophe restores what was stored. Control characters are escaped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import click

from swarmscope import atomic_files
from swarmscope.cli._shared import (
    database_option,
    one_line_errors,
    output_option,
    reading,
    run_argument,
)
from swarmscope.formatting import without_controls
from swarmscope.runs import bundles, queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run

SLICE = timedelta(minutes=1)  # sorted at once
MARGIN = timedelta(hours=1)  # clocks may have been off, and a late request was due earlier


def _text(column: str) -> str:
    """Return the expression for a text of foreign origin, which must not be a formula."""
    formula = r"^''*[-=+@\t\r\n＝＋－＠]"
    return f"CASE WHEN {column} ~ '{formula}' THEN '''' || {column} ELSE {column} END"


# Names carry units; `time` is the request's start, in an open workload when it was due.
COLUMNS = {
    "time": "run_text(time)",
    "name": _text("name"),
    "request_type": _text("request_type"),
    "response_time_ms": "response_time",
    "queue_ms": "queue_ms",
    "service_ms": "service_ms",
    "cpu_ms": "cpu_ms",
    "db_ms": "db_ms",
    "pool_ms": "pool_ms",
    "http_ms": "http_ms",
    "cache_ms": "cache_ms",
    "db_calls": "db_calls",
    "http_calls": "http_calls",
    "cache_calls": "cache_calls",
    "start_delay_ms": "start_delay_ms",
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
@run_argument
@output_option("Write to FILE, atomically  [default: standard output]")
@click.option(
    "--bundle",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything but the raw requests to FILE, which `compare` and `import` take.",
)
@database_option
@one_line_errors()
def export(run: str, output: Path | None, bundle: Path | None, database: str | None) -> None:
    """Export a run's raw requests as CSV, or the run as one file.

    RUN is latest (the default), latest~1, an id, or the beginning of an id. Rows are ordered by
    start. Raw requests are kept for 30 days by default; the last line says if any are gone.

    Text that a spreadsheet would read as a formula (starting with = + - @ or a tab) is prefixed
    with an apostrophe, and control characters are escaped (ESC as \\x1b).

    \b
    Examples:
      swarmscope export -o requests.csv
      swarmscope export latest~1 | head
      swarmscope export --bundle baseline.zip
    """
    if bundle:
        if output:
            raise click.UsageError("give --output or --bundle, not both")
        _export_bundle(run, bundle, database)
        return
    path = None if output == Path("-") else output
    if path:
        atomic_files.check(path)
    with reading(database) as connection:
        found = queries.find(connection, run)
        with _opened(path) as file:
            number = write_requests(connection, found, file)
        expected = queries.finished(connection, found.run_id)
    missing = (
        f" of {expected:,}; the rest was pruned or could not be stored" if number < expected else ""
    )
    click.echo(f"{number:,} requests{missing}.", err=True)


def _export_bundle(run: str, path: Path, database: str | None) -> None:
    atomic_files.check(path)
    with reading(database) as connection:
        found = queries.find(connection, run)
        if found.status == "running":
            raise click.ClickException(f"{found.run} is still running")
        with atomic_files.written(path) as file:
            bundles.write(connection, found, file)
    click.echo(f"{found.run}: {path}, {path.stat().st_size / 1e3:,.0f} kB")


def write_requests(connection: Connection, run: Run, file: IO[bytes]) -> int:
    """Write all raw requests of *run* to *file*; return how many there were.

    Memory is bounded by a row here and by a minute's requests in the database. Times without a
    request are skipped: a wrong clock may have put years between two requests.
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
        " WHERE run_id = %(run)s AND resolution = 60 AND part = 'response'"
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
def _opened(path: Path | None) -> Iterator[IO[bytes]]:
    """Open *path*, which appears only when it is complete; None is standard output."""
    if path:
        with atomic_files.written(path) as file:
            yield file
        return
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # click exits quietly when the reader has closed the pipe
        raise
    except OSError as error:
        raise atomic_files.Unwritable(
            f"standard output cannot be written: {error.strerror}"
        ) from error
