"""The verbs ``runs`` and ``show``: the list of runs, and one of them in full."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from swarmscope.cli import shortlist, tables
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
from swarmscope.runs.connection import Connection
from swarmscope.runs.document import ServiceFigures
from swarmscope.runs.model import Run, Summary
from swarmscope.runs.service_times import sentences


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


@click.command()
@run_argument
@whole_option
@all_option
@click.option("--brief", is_flag=True, help="Print about ten lines.")
@json_option
@wait_option
@database_option
def show(
    run: str,
    whole: bool,
    every: bool,
    brief: bool,
    as_json: bool,
    patience_s: float,
    database: str | None,
) -> None:
    """Print a run's figures.

    RUN is latest (the default), latest~1, an id, or the beginning of an id. Figures are those after
    ramp-up; of the whole run where too little followed it.

    --json prints the run's document: all digits, curves, errors and events (docs/run-document.md).

    \b
    Examples:
      swarmscope show
      swarmscope show latest~1 --whole
      swarmscope show --brief
      swarmscope show 2026-03-01T12 --json
    """
    run = settled(database, run, patience_s, to_come)
    with reading(database) as connection:
        found = queries.find(connection, run)
        services = assembly.ask_prometheus(locate_prometheus())
        if brief:
            document = assembly.assemble(connection, found.run_id, whole, services)
            click.echo("\n".join(lines(document)))
        elif as_json:
            print_json(assembly.assemble(connection, found.run_id, whole, services))
        else:
            summary = queries.summary(connection, found.run_id, whole)
            _print(connection, found, summary, every, services)


def _print(
    connection: Connection,
    run: Run,
    summary: list[Summary],
    every: bool,
    services: assembly.Services | None,
) -> None:
    console = Console(highlight=False)
    console.print(_facts(connection, run), "")
    _print_summary(console, summary, every)
    if summary:
        span = summary[0].since, summary[0].until
        _print_services(console, assembly.service_figures(connection, run, *span, services))
    if levels := assembly.levels(connection, run.run_id):
        console.print("", tables.levels_table(levels, console.width))
    failures = queries.failures(connection, run.run_id, tables.MAX_FAILURES + 1)
    if failures:
        console.print("", tables.failures_table(failures))
    console.print("", tables.span(summary, run, bool(failures)), sep="\n")


def _facts(connection: Connection, run: Run) -> Table:
    verdict = queries.verdict(connection, run.run_id)
    trust = assembly.trust(connection, run.run_id)
    return tables.facts_table(
        run,
        verdict.text if verdict else None,
        queries.task_errors(connection, run.run_id),
        queries.settings(connection, run),
        trust.text if trust and not trust.trusted else None,
    )


def _print_services(console: Console, services: list[ServiceFigures]) -> None:
    """Print the services' figures and what they waited for; a single one is in the summary."""
    if len(services) > 1:
        console.print("", tables.services_table(services))
    for text in sentences(services):
        console.print("", tables.harmless(text), sep="\n")


def _print_summary(console: Console, summary: list[Summary], every: bool) -> None:
    endpoints = {row.endpoint for row in summary}
    shown = endpoints if every else shortlist.chosen(summary)
    rows = [row for row in summary if row.endpoint in shown]
    console.print(tables.summary_table(rows, console.width))
    if missing := shortlist.left_out(len(endpoints & shown) - 1, len(endpoints) - 1):
        console.print("", missing, sep="\n")
