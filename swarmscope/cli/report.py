"""The verb ``report``: a run's page, frozen as one file."""

from __future__ import annotations

from pathlib import Path

import click

from swarmscope import atomic_files
from swarmscope.cli._shared import (
    database_option,
    one_line_errors,
    output_option,
    reading,
    run_argument,
    wait_option,
    whole_option,
)
from swarmscope.cli.waiting import capture_to_come, settled
from swarmscope.home import locate_prometheus
from swarmscope.runs import assembly, page, queries
from swarmscope.runs.page import stored_flames


@click.command()
@run_argument
@output_option("Write to FILE  [default: swarmscope-RUN.html in this directory]")
@whole_option
@wait_option
@database_option
@one_line_errors()
def report(
    run: str, output: Path | None, whole: bool, patience_s: float, database: str | None
) -> None:
    """Write a run's page as one HTML file.

    RUN is latest (the default), latest~1, an id, or the beginning of an id. The file needs no
    server and no network. The same run always gives the same file.

    \b
    Examples:
      swarmscope report
      swarmscope report latest~1 -o before.html
    """
    atomic_files.check(output or Path("swarmscope.html"))
    found = settled(database, run, patience_s, capture_to_come)
    with reading(database) as connection:
        services = assembly.ask_prometheus(locate_prometheus())
        run_id = queries.find(connection, found).run_id
        document = assembly.assemble(connection, run_id, whole, services)
        flames = stored_flames.of_run(connection, run_id, document)
    path = output or Path(f"swarmscope-{document.run.id.replace(':', '-')}.html")
    atomic_files.write(path, page.render(document, live=False, flames=flames))
    click.echo(path)
