"""A run's figures as tables: what ``show`` prints."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from swarmscope.cli import resource_tables, shortlist, statement_tables, tables
from swarmscope.runs import assembly, queries, time_spent
from swarmscope.runs.connection import Connection
from swarmscope.runs.document import Document, Endpoint
from swarmscope.runs.model import Run, Summary
from swarmscope.runs.selection import Endpoint as Key


@dataclass(frozen=True)
class Shown:
    """What to print of a run: figures of the *whole*, *every* endpoint, tables of *parts* …"""

    whole: bool
    every: bool
    parts: bool
    statements: bool
    resources: bool


def print_figures(
    connection: Connection, run: Run, shown: Shown, services: assembly.Services | None
) -> None:
    """Print *run*: its facts, its summary, where the time went, levels and failures."""
    console = Console(highlight=False)
    summary = queries.summary(connection, run.run_id, shown.whole)
    made = assembly.assemble(
        connection, run.run_id, shown.whole, services, rows=summary, slowest=False
    )
    console.print(_facts(run, made), "")
    kept = {row.endpoint for row in summary} if shown.every else shortlist.chosen(summary)
    _print_summary(console, summary, kept)
    if made.totals:
        if shown.parts:
            rows = [e for e in (made.totals, *made.endpoints) if (e.name, e.request_type) in kept]
            console.print("", tables.parts_table(rows, console.width))
        _print_times(console, made, made.totals, shown)
    if made.levels:
        console.print("", tables.levels_table(made.levels, console.width))
    if made.errors:
        console.print("", tables.failures_table(made.errors))
    console.print("", tables.span(summary, run, made.errors), sep="\n")


def _facts(run: Run, made: Document) -> Table:
    return tables.facts_table(
        run,
        made.verdict.text if made.verdict else None,
        made.task_errors,
        made.run.settings,
        made.trust.text if made.trust and not made.trust.trusted else None,
        made.unsaid_cause or None,
    )


def _print_times(console: Console, made: Document, totals: Endpoint, shown: Shown) -> None:
    """Print where the time went, and the services' figures; a single one is in the summary."""
    if len(made.services) > 1:
        console.print("", tables.services_table(made.services))
    if shown.statements:
        both = statement_tables.both(made.statements, made.calls, shown.every)
        console.print(*both, sep="\n")
    if shown.resources:
        parts = resource_tables.parts(made.resources, console.width, shown.every)
        console.print(*parts, sep="\n")
    if texts := [text for text in (time_spent.division(totals), *made.findings) if text]:
        console.print("", *map(tables.harmless, texts), sep="\n")
    for note in (*((f"{made.ended_early}.",) if made.ended_early else ()), *made.notes):
        console.print("", tables.harmless(f"Note: {note}"), sep="\n")
    if not (shown.resources or made.cause) and (hint := resource_tables.hint(made.resources)):
        console.print("", tables.harmless(hint), sep="\n")


def _print_summary(console: Console, summary: list[Summary], shown: set[Key]) -> None:
    endpoints = {row.endpoint for row in summary}
    rows = [row for row in summary if row.endpoint in shown]
    console.print(tables.summary_table(rows, console.width))
    if missing := shortlist.left_out(len(endpoints & shown) - 1, len(endpoints) - 1):
        console.print("", missing, sep="\n")
