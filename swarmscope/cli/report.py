"""The verb ``report``: a run's page, frozen as one file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psycopg

from swarmscope import atomic_files
from swarmscope.cli.database import database_option, reading
from swarmscope.cli.waiting import Patience, to_come
from swarmscope.home import locate_prometheus
from swarmscope.runs import assembly, captures, page, queries, server_series
from swarmscope.runs.document import Document
from swarmscope.runs.model import Run

Connection = psycopg.Connection[Any]


@click.command()
@click.argument("run", default="latest")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; default: swarmscope-RUN.html in this directory.",
)
@click.option("--whole", is_flag=True, help="Figures of the whole run, its ramp included.")
@click.option(
    "--wait",
    "patience_s",
    default=0.0,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long to wait at most until all of the run is there.",
)
@database_option
def report(
    run: str, output: Path | None, whole: bool, patience_s: float, database: str | None
) -> None:
    """Write a run's page as one HTML file: RUN is latest, latest~1, an id, or an id's beginning.

    The file needs no network and no server. The same run makes the same file.
    """
    try:
        atomic_files.check(output or Path("swarmscope.html"))
        document = _settled(database, run, whole, patience_s)
        path = output or Path(f"swarmscope-{document.run.id.replace(':', '-')}.html")
        atomic_files.write(path, page.render(document, live=False))
    except atomic_files.Unwritable as error:
        raise click.ClickException(str(error)) from error
    click.echo(path)


def _settled(where: str | None, wanted: str, whole: bool, patience_s: float) -> Document:
    """Return a run's document once nothing more of it is to come, or after *patience_s*.

    A run that has just ended may not even have begun in the database, and the database may be away.
    """
    patience = Patience(patience_s)
    while True:
        is_late, waits_for = patience.is_over, "the runs database"
        try:
            with reading(where) as connection:
                run = queries.find(connection, wanted)
                waits_for = _to_come(connection, run)
                if is_late or not waits_for:
                    services = assembly.ask_prometheus(locate_prometheus())
                    return assembly.assemble(connection, run.run_id, whole, services)
        except click.ClickException:
            if is_late:
                raise
        patience.wait(waits_for)


def _to_come(connection: Connection, run: Run) -> str:
    """Return what is missing: samples, or what Prometheus has to say, if there is one."""
    if awaited := to_come(connection, run):
        return awaited
    asked = locate_prometheus() is not None and not captures.stored(connection, run.run_id)
    if asked and run.ended and datetime.now(UTC) <= server_series.settled(run.ended):
        return "Prometheus's last figures of the services"
    return ""
