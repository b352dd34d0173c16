"""A run's figures as tables: what ``show`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table

from swarmscope.cli import shortlist, statement_tables, tables
from swarmscope.runs import assembly, queries, service_times, statement_figures, time_spent
from swarmscope.runs.connection import Connection
from swarmscope.runs.document import Endpoint
from swarmscope.runs.model import Run, Summary
from swarmscope.runs.selection import Endpoint as Key
from swarmscope.runs.server_series import Capture


@dataclass(frozen=True)
class Shown:
    """What to print of a run: figures of the *whole*, *every* endpoint, tables of *parts* …"""

    whole: bool
    every: bool
    parts: bool
    statements: bool


def print_figures(
    connection: Connection, run: Run, shown: Shown, services: assembly.Services | None
) -> None:
    """Print *run*: its facts, its summary, where the time went, levels and failures."""
    console = Console(highlight=False)
    console.print(_facts(connection, run), "")
    summary = queries.summary(connection, run.run_id, shown.whole)
    kept = {row.endpoint for row in summary} if shown.every else shortlist.chosen(summary)
    _print_summary(console, summary, kept)
    if summary:
        divided = queries.component_summary(connection, run.run_id, shown.whole)
        endpoints = assembly.endpoints_of(summary, divided)
        if shown.parts:
            rows = [e for e in endpoints if (e.name, e.request_type) in kept]
            console.print("", tables.parts_table(rows, console.width))
        span = summary[0].since, summary[0].until
        _print_times(console, endpoints, assembly.captured(connection, run, services), shown, span)
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


def _print_times(
    console: Console,
    endpoints: list[Endpoint],
    capture: Capture | None,
    shown: Shown,
    span: tuple[datetime, datetime],
) -> None:
    """Print where the time went, and the services' figures; a single one is in the summary."""
    services = service_times.figures(capture, *span) if capture else []
    if len(services) > 1:
        console.print("", tables.services_table(services))
    counts = capture.counts if capture else None
    statements = statement_figures.statements(counts)
    if shown.statements:
        calls = statement_figures.outgoing(counts)
        console.print(*statement_tables.both(statements, calls, shown.every), sep="\n")
    divided = (time_spent.division(e) for e in endpoints if not (e.name or e.request_type))
    found = time_spent.joined(time_spent.sentences(endpoints), services, statements)
    if texts := [tables.harmless(text) for text in (*divided, *found) if text]:
        console.print("", *texts, sep="\n")


def _print_summary(console: Console, summary: list[Summary], shown: set[Key]) -> None:
    endpoints = {row.endpoint for row in summary}
    rows = [row for row in summary if row.endpoint in shown]
    console.print(tables.summary_table(rows, console.width))
    if missing := shortlist.left_out(len(endpoints & shown) - 1, len(endpoints) - 1):
        console.print("", missing, sep="\n")
