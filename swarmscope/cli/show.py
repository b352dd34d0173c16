"""The verb ``show``: one run, in full, in about ten lines or as JSON."""

from __future__ import annotations

import click

from swarmscope.cli._shared import (
    all_option,
    database_option,
    json_option,
    print_json,
    reading,
    run_argument,
    wait_option,
    whole_option,
)
from swarmscope.cli.brief import lines
from swarmscope.cli.waiting import settled, to_come
from swarmscope.home import locate_prometheus
from swarmscope.runs import assembly, queries


@click.command()
@run_argument
@whole_option
@all_option
@click.option("--parts", is_flag=True, help="Print what the time of each endpoint was made of.")
@click.option("--statements", is_flag=True, help="Print the database statements of each route.")
@click.option("--resources", is_flag=True, help="Print what was full, and what each could take.")
@click.option("--brief", is_flag=True, help="Print about ten lines.")
@json_option
@wait_option
@database_option
def show(
    run: str,
    whole: bool,
    every: bool,
    parts: bool,
    statements: bool,
    resources: bool,
    brief: bool,
    as_json: bool,
    patience_s: float,
    database: str | None,
) -> None:
    """Print a run's figures.

    RUN is latest (the default), latest~1, an id, or the beginning of an id. Figures are those after
    ramp-up; of the whole run where too little followed it.

    --parts prints mean and p95 of each part and component of the response time, with the number of
    database statements and calls in brackets.

    --statements prints how often a request of each route executed each statement, its share of the
    service time, mean and longest time in ms, and rows; and the calls to other services. Both are
    of the whole run.

    --resources prints of each resource its places, how long a request held one, the share that was
    in use, and its ceiling: the requests/s that it could serve (docs/resources.md).

    --json prints the run's document: all digits, curves, errors and events (docs/run-document.md).

    \b
    Examples:
      swarmscope show
      swarmscope show latest~1 --whole
      swarmscope show --parts
      swarmscope show --statements
      swarmscope show --resources
      swarmscope show --brief
      swarmscope show 2026-03-01T12 --json
    """
    run = settled(database, run, patience_s, to_come)
    with reading(database) as connection:
        found = queries.find(connection, run)
        services = assembly.ask_prometheus(locate_prometheus())
        if brief:  # without Rich, whose import takes a fifth of the time
            document = assembly.assemble(connection, found.run_id, whole, services, slowest=False)
            click.echo("\n".join(lines(document)))
        elif as_json:
            print_json(assembly.assemble(connection, found.run_id, whole, services))
        else:
            from swarmscope.cli.figures import Shown, print_figures

            print_figures(
                connection, found, Shown(whole, every, parts, statements, resources), services
            )
