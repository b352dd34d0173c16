"""The verb ``compare``: what changed between two runs, beyond noise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
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
from swarmscope.cli.check import incomplete
from swarmscope.cli.tables import bare_table, harmless
from swarmscope.formatting import digits, percent, printable
from swarmscope.runs import assembly, bundles, page, queries
from swarmscope.runs.compare import comparison
from swarmscope.runs.compare.comparison import FAIL_RATIO, RATE, Change, Comparison
from swarmscope.runs.document import Document
from swarmscope.runs.histogram import CALLS, COMPONENTS
from swarmscope.runs.model import Run
from swarmscope.runs.page import stored_flames
from swarmscope.runs.selection import Endpoint
from swarmscope.runs.thresholds import CANNOT_TELL, CHECK_FAILED

STYLES = {"worse": "bold red", "better": "green", "same": "dim", "unknown": "yellow"}
WORDS = {"worse": "worse", "better": "better", "same": "no clear change", "unknown": "unknown"}
MAX_NAMED = 5  # regressions, below the table
MAX_PARTS = 2  # components that changed, below the table, and as many numbers of calls
LABELS = {RATE: "req/s", FAIL_RATIO: "failed"}


def _most(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
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
    callback=_most,
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


@dataclass(frozen=True)
class JudgedComparison:
    """What `compare --json` prints; *regressions* is None without ``--max-regression``."""

    a: Run
    b: Run
    whole: bool
    warnings: list[str]
    changes: list[Change]
    spans: tuple[str, str]  # of what the figures of each run are
    max_regression: float | None
    regressions: list[Change] | None
    status: int


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
        a, b = (_complete(queries.find(connection, runs[name]), name) for name in names)
        documents = [assembly.assemble(connection, run.run_id, whole) for run in (a, b)]
        found = comparison.compare(connection, a, b, whole)
        flames = (
            stored_flames.of_two_runs(connection, documents[0], documents[1]) if output else None
        )
    answer = _answer(found, documents, max_regression)
    if output:
        atomic_files.write(
            output, page.render_comparison(documents[0], documents[1], answer, flames)
        )
    return answer


def _complete(run: Run, name: str) -> Run:
    if not run.complete:
        raise failure(f"{printable(name)}: {incomplete(run)}", CANNOT_TELL)
    return run


def _answer(
    found: Comparison, documents: list[Document], max_regression: float | None
) -> JudgedComparison:
    pairs = zip("AB", documents, strict=True)
    doubts = [f"{label}: {d.trust.text}" for label, d in pairs if d.trust and not d.trust.trusted]
    regressions = None if max_regression is None else found.regressions(max_regression)
    status = CHECK_FAILED if regressions else 0
    if max_regression is not None and not regressions and not found.clears(max_regression):
        status = CANNOT_TELL
    return JudgedComparison(
        found.a,
        found.b,
        found.whole,
        [*found.warnings, *doubts],
        found.changes,
        found.spans,
        max_regression,
        regressions,
        status,
    )


def _print(answer: JudgedComparison, every: bool) -> None:
    console = Console(highlight=False)
    console.print(f"A: {answer.a.run}\nB: {answer.b.run}", markup=False)
    for warning in answer.warnings:
        console.print(Text.assemble(("Warning: ", "bold yellow"), harmless(warning)))
    changes = answer.changes if every else _shortlisted(answer.changes)
    console.print("", changes_table(changes), "")
    if missing := len({_key(c) for c in answer.changes}) - len({_key(c) for c in changes}):
        console.print(f"{missing:,} endpoints that changed less are left out; --all shows them.")
    for line in _conclusion(answer):
        console.print(line, markup=False)


def _shortlisted(changes: list[Change]) -> list[Change]:
    shown = shortlist.changed((_key(change), change.verdict) for change in changes)
    return [change for change in changes if _key(change) in shown]


def _key(change: Change) -> Endpoint:
    return (change.name, change.request_type)


def _conclusion(answer: JudgedComparison) -> Iterator[str]:
    same = answer.spans[0] == answer.spans[1]
    yield f"{answer.spans[0]}." if same else "A: {}. B: {}.".format(*answer.spans)
    yield "All intervals hold jointly with 95 % confidence, for what varies within a run."
    if parts := _parts(answer.changes):
        yield f"Mean per request: {parts}."
    if answer.max_regression is None:
        return
    limit = f"{answer.max_regression * 100:g} %"
    if answer.status == CANNOT_TELL:
        yield f"Cannot tell whether the p95 of all requests regressed by more than {limit}:"
        yield f"its change {_range(answer.changes)}. Longer runs narrow that down."
    elif answer.regressions:
        yield f"Regressed by more than {limit}: {_list(answer.regressions)}."
    else:
        yield f"No regression by more than {limit}: certain for the p95 of all requests, and"
        yield "nothing else regressed beyond noise."


def _parts(changes: list[Change]) -> str:
    """Return in words which components and calls of single endpoints changed most, beyond noise."""
    single = [c for c in changes if _endpoint_name(c) and c.verdict in ("worse", "better")]
    single.sort(key=lambda change: -abs(change.b - change.a))
    most = [[c for c in single if c.part in parts][:MAX_PARTS] for parts in (COMPONENTS, CALLS)]
    return "; ".join(
        f"{change.part.replace('_', ' ')} of {_endpoint(change).plain}"
        f" {digits(change.a)} → {digits(change.b)}{' ms' if change.part in COMPONENTS else ''}"
        for change in chain(*most)
    )


def _range(changes: list[Change]) -> str:
    """Return in words the interval of the change of the p95 of all requests."""
    for change in changes:
        if not _endpoint_name(change) and (change.part, change.measure) == ("response", "p95"):
            low, high = (_signed(end, "%") for end in (change.low, change.high))
            return f"is between {low} and {high}" if (low, high) != ("?", "?") else "is not known"
    return "is not known"


def _list(changes: list[Change]) -> str:
    named = [f"{_label(c)} ({_endpoint(c).plain})" for c in changes[:MAX_NAMED]]
    more = len(changes) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def changes_table(changes: Iterable[Change]) -> Table:
    """Return a row per figure, grouped by endpoint, all endpoints together first."""
    rows = bare_table(("endpoint, ms",), ("A", "B", "change", "from", "to"), ("",))
    before = None
    for change in changes:
        if _key(change) != before:
            rows.add_row(_endpoint(change))
        before = _key(change)
        word = Text(WORDS[change.verdict], style=STYLES[change.verdict])
        rows.add_row(f"  {_label(change)}", *_figures(change), word)
    return rows


def _endpoint(change: Change) -> Text:
    name = _endpoint_name(change)
    return harmless(name) if name else Text("all endpoints", style="bold")


def _endpoint_name(change: Change) -> str:
    return f"{change.request_type} {change.name}".strip()


def _label(change: Change) -> str:
    if change.part in CALLS:
        return change.part.replace("_", " ")
    return LABELS.get(change.measure) or f"{change.part} {change.measure}"


def _figures(change: Change) -> tuple[str, ...]:
    """Return both values, the change and its interval."""
    share = change.measure == FAIL_RATIO
    show = percent if share else digits
    ends = (change.change, change.low, change.high)
    signed = (_signed(end, " pp" if share else "%") for end in ends)
    return (show(change.a), show(change.b), *signed)


def _signed(share: float | None, unit: str) -> str:
    if share is None:
        return "?"
    digits = 2 if unit != "%" else 0 if abs(share) >= 1 else 1
    return f"{share * 100:+,.{digits}f}{unit}"
