"""The verb ``runs``: the list of runs."""

from __future__ import annotations

import click
from rich.console import Console

from swarmscope.cli import tables
from swarmscope.cli._shared import database_option, json_option, print_json, reading
from swarmscope.runs import queries


@click.command()
@click.option(
    "-n",
    "--limit",
    default=20,
    show_default=True,
    metavar="NUMBER",
    type=click.IntRange(1),
    help="List at most NUMBER runs.",
)
@json_option
@database_option
def runs(limit: int, as_json: bool, database: str | None) -> None:
    """List runs, latest first.

    Latencies and rates are those after ramp-up; of the whole run where too little followed it.

    \b
    Examples:
      swarmscope runs
      swarmscope runs -n 100 --json
    """
    with reading(database) as connection:
        found = queries.runs(connection, limit)
    if as_json:
        print_json(found)
    elif found:
        console = Console(highlight=False)
        console.print(tables.runs_table(found, console.width))
    else:
        click.echo("No runs yet: start a swarm in the Locust UI.")
