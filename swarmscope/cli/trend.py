"""The verb ``trend``: a figure over many runs, and since which run it is another one."""

from __future__ import annotations

from itertools import chain

import click
from rich.console import Console
from rich.table import Table

from swarmscope.cli._shared import database_option, json_option, print_json, reading
from swarmscope.cli.tables import bare_table, harmless
from swarmscope.formatting import digits, percent
from swarmscope.runs import bundles
from swarmscope.runs.trend import history
from swarmscope.runs.trend.history import FAIL_RATIO, MEASURES, RATE, Figure, Trend


@click.command()
@click.argument("sources", nargs=-1, metavar="[PLAN] [FILE]...")
@click.option("--endpoint", default="", metavar='"METHOD NAME"', help="Of one endpoint only.")
@click.option(
    "--part",
    default="response",
    show_default=True,
    type=click.Choice(history.parts()),
    metavar="PART",
    help="A part or component of the response time, or a number of calls.",
)
@click.option(
    "--measure",
    default="p95",
    show_default=True,
    type=click.Choice([*MEASURES, RATE, FAIL_RATIO]),
    help="What of it; rate and failed are of the requests.",
)
@click.option(
    "-n",
    "--limit",
    default=50,
    show_default=True,
    metavar="NUMBER",
    type=click.IntRange(1, 500),
    help="Look at the last NUMBER runs.",
)
@json_option
@database_option
def trend(
    sources: tuple[str, ...],
    endpoint: str,
    part: str,
    measure: str,
    limit: int,
    as_json: bool,
    database: str | None,
) -> None:
    """Show a figure over runs, and since which run it differs.

    PLAN is a locustfile's path or a name, as `swarmscope runs` lists it; by default that of the
    latest run. A FILE of `export --bundle`, or a directory of them, adds its runs to those of the
    database. Runs with the load of the latest one are shown, complete ones only, and no capacity
    search. A change is one for good: chance finds one in 5 % of series without any.

    \b
    Examples:
      swarmscope trend
      swarmscope trend --endpoint "GET /orders" --part db --measure mean
      swarmscope trend --measure rate --json
      swarmscope trend nightly/
    """
    files = {source: bundles.within(source) for source in sources}
    plans = [source for source in sources if not files[source]]
    if len(plans) > 1:
        raise click.UsageError(
            f"{plans[1]!r} is no file of `export --bundle`, and one PLAN is enough"
        )
    with (
        reading(database) as connection,
        bundles.loaded(connection, [*chain(*files.values())]),
    ):
        plan = plans[0] if plans else None
        found = history.trend(connection, plan, Figure(endpoint, part, measure), limit)
    if as_json:
        print_json(found)
        return
    console = Console(highlight=False)
    console.print(_table(found), "", *map(harmless, history.sentences(found)), sep="\n")


def _table(found: Trend) -> Table:
    """Return a row per run, oldest first, with a mark where a change begins."""
    objectives = len({point.objective for point in found.points}) > 1
    names = ("run", "version", "SLO") if objectives else ("run", "version")
    table = bare_table(names, (_heading(found),), ("",))
    began = {change.run: change for change in found.changes}
    show = percent if found.measure == FAIL_RATIO else digits
    for point in found.points:
        change = began.get(point.run)
        mark = "" if change is None else f"← {_words(change.change)}"
        cells = (point.run, harmless(point.version or ""), point.objective)[: len(names)]
        table.add_row(*cells, show(point.value), mark)
    return table


def _words(change: float | None) -> str:
    return "changed" if change is None else f"{change:+.1%}"


def _heading(found: Trend) -> str:
    if found.measure in (RATE, FAIL_RATIO):
        return {RATE: "req/s", FAIL_RATIO: "failed"}[found.measure]
    return f"{found.part.replace('_', ' ')} {found.measure}"
