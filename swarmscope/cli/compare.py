"""The verb ``compare``: what changed between two runs, beyond noise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swarmscope import atomic_files
from swarmscope.cli import shortlist
from swarmscope.cli._shared import (
    JUDGING,
    all_option,
    database_option,
    failure,
    json_option,
    one_line_errors,
    output_option,
    print_json,
    reading,
    whole_option,
)
from swarmscope.cli.tables import bare_table, harmless
from swarmscope.formatting import printable
from swarmscope.runs import assembly, bundles, page, queries
from swarmscope.runs.compare import comparison, words
from swarmscope.runs.compare.comparison import Change
from swarmscope.runs.compare.judged import JudgedComparison, judged
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run
from swarmscope.runs.page import stored_flames
from swarmscope.runs.selection import Endpoint
from swarmscope.runs.thresholds import CANNOT_TELL

STYLES = {"worse": "bold red", "better": "green", "same": "dim", "unknown": "yellow"}


def percentage(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> float | None:
    """Return the share that a percentage such as ``10%`` is; None if there is none."""
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)%", text.strip())):
        raise click.BadParameter(f"{text!r} is not a percentage such as 10%")
    return float(match[1]) / 100


@click.command()
@click.argument("a")
@click.argument("b", default="latest")
@whole_option
@click.option(
    "--max-regression",
    metavar="PERCENT",
    callback=percentage,
    help="Fail if anything regressed by more than PERCENT, beyond noise.",
)
@output_option("Write a page with both runs to FILE, as HTML.")
@all_option
@json_option
@database_option
@one_line_errors()
def compare(
    a: str,
    b: str,
    whole: bool,
    max_regression: float | None,
    output: Path | None,
    every: bool,
    as_json: bool,
    database: str | None,
) -> None:
    """Compare two runs, telling changes from noise.

    A and B are each latest (B's default), latest~1, an id, the beginning of an id, or a file of
    `export --bundle`. Every change from A to B has an interval; all intervals hold jointly with
    95 % confidence, for what varies within a run.

    Exit status: 0, or with --max-regression 3 if anything regressed by more, 4 if that cannot be
    decided for the p95 of all requests; 4 if a run is incomplete, 2 if there is no such run.

    \b
    Examples:
      swarmscope compare latest~1
      swarmscope compare latest~1 latest --max-regression 10% -o changes.html
      swarmscope compare baseline.zip --max-regression 10%
    """
    answer = _compared(database, (a, b), whole, max_regression, output)
    if as_json:
        print_json(answer)
    else:
        _print(answer, every)
    click.get_current_context().exit(answer.status)


def _compared(
    where: str | None,
    names: tuple[str, str],
    whole: bool,
    max_regression: float | None,
    output: Path | None,
) -> JudgedComparison:
    if output:
        atomic_files.check(output)
    with (
        reading(where, **JUDGING) as connection,
        bundles.loaded(connection, names) as runs,
    ):
        a, b = (complete(queries.find(connection, runs[name]), name) for name in names)
        answer = compared(connection, a, b, whole, max_regression)
        text = _page(connection, answer) if output else ""
    if output:
        atomic_files.write(output, text)
    return answer


def compared(
    connection: Connection, a: Run, b: Run, whole: bool, max_regression: float | None
) -> JudgedComparison:
    """Compare run *b* with run *a*; both must be complete. *max_regression* is a share."""
    found = comparison.compare(connection, a, b, whole)
    pairs = list(zip("AB", (a, b), strict=True))
    trusts = [(label, assembly.trust(connection, run.run_id)) for label, run in pairs]
    doubts = [f"{label}: {trust.text}" for label, trust in trusts if trust and not trust.trusted]
    ends = [(label, queries.ended_early(connection, run.run_id)) for label, run in pairs]
    early = [f"{label}: {end.text}." for label, end in ends if end]
    return judged(found, [*early, *doubts], max_regression, bool(early))


def _page(connection: Connection, answer: JudgedComparison) -> str:
    a, b = (assembly.assemble(connection, run.run_id, answer.whole) for run in (answer.a, answer.b))
    return page.render_comparison(a, b, answer, stored_flames.of_two_runs(connection, a, b))


def complete(run: Run, name: str) -> Run:
    """Return *run* if it can be compared; the error calls it *name*."""
    if not run.complete:
        raise failure(f"{printable(name)}: {run.why_incomplete}", CANNOT_TELL)
    return run


def _print(answer: JudgedComparison, every: bool) -> None:
    console = Console(highlight=False)
    console.print(f"A: {answer.a.run}\nB: {answer.b.run}", markup=False)
    print_changes(console, answer, every)


def print_changes(console: Console, answer: JudgedComparison, every: bool = False) -> None:
    """Print the table of changes, with *every* endpoint or those that changed most, and the end."""
    for warning in answer.warnings:
        console.print(Text.assemble(("Warning: ", "bold yellow"), harmless(warning)))
    changes = answer.changes if every else _shortlisted(answer.changes)
    console.print("", changes_table(changes), "")
    if missing := len({_key(c) for c in answer.changes}) - len({_key(c) for c in changes}):
        console.print(f"{missing:,} endpoints that changed less are left out; --all shows them.")
    for line in words.conclusion(answer):
        console.print(line, markup=False)


def _shortlisted(changes: list[Change]) -> list[Change]:
    shown = shortlist.changed((_key(change), change.verdict) for change in changes)
    return [change for change in changes if _key(change) in shown]


def _key(change: Change) -> Endpoint:
    return (change.name, change.request_type)


def changes_table(changes: Iterable[Change]) -> Table:
    """Return a row per figure, grouped by endpoint, all endpoints together first."""
    rows = bare_table(("endpoint, ms",), ("A", "B", "change", "from", "to"), ("",))
    before = None
    for change in changes:
        if _key(change) != before:
            rows.add_row(_endpoint(change))
        before = _key(change)
        word = Text(words.WORDS[change.verdict], style=STYLES[change.verdict])
        rows.add_row(f"  {words.label(change)}", *words.figures(change), word)
    return rows


def _endpoint(change: Change) -> Text:
    style = "" if change.name or change.request_type else "bold"
    return Text(words.endpoint(change), style=style)
