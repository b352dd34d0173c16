"""A run's figures as tables: what ``show`` prints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from swarmscope.cli import shortlist, tables
from swarmscope.runs import assembly, queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.document import ServiceFigures
from swarmscope.runs.model import Run, Summary
from swarmscope.runs.service_times import sentences


def print_figures(
    connection: Connection,
    run: Run,
    summary: list[Summary],
    every: bool,
    services: assembly.Services | None,
) -> None:
    """Print *run*: its facts, its *summary* (of *every* endpoint), levels and failures."""
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
