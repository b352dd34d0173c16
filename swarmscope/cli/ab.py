"""The verb ``ab``: two revisions or settings of an app, by turns."""

from __future__ import annotations

import json
import random
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from swarmscope import atomic_files
from swarmscope.ab import cores
from swarmscope.ab.figures import CALLS, OF_LATENCY, PARTS
from swarmscope.ab.session import session
from swarmscope.ab.sides import HERE, Wanted, parse_setting
from swarmscope.ab.trial import DEFAULT_FIGURE, Trial, Wishes
from swarmscope.ab.turns import Load
from swarmscope.ab.verdict import FAILING, SLOWER, UNDECIDED, FigureResult, Verdict
from swarmscope.cli._shared import one_line_errors
from swarmscope.cli.stack import console, explained, interruptible
from swarmscope.cli.tables import bare_table, harmless
from swarmscope.formatting import digits
from swarmscope.runs.thresholds import CANNOT_TELL, CHECK_FAILED
from swarmscope.stack.progress import Progress
from swarmscope.stack.up import INTERRUPTED

STATUSES = {SLOWER: CHECK_FAILED, FAILING: CHECK_FAILED, UNDECIDED: CANNOT_TELL}  # else 0
UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}


class Seconds(click.ParamType[float]):
    """A span of time: 90, 90s, 20m, 1h30m."""

    name = "TIME"

    def convert(self, value: Any, parameter: Any, context: Any) -> float:
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        found = re.findall(r"(\d+(?:\.\d+)?)([smh]?)", value)
        total = sum(float(number) * UNITS_S[unit] for number, unit in found)
        if "".join(map("".join, found)) != value or total <= 0:
            self.fail(f"{value!r} is not a time such as 90s or 20m", parameter, context)
        return total


class Percent(click.ParamType[float]):
    """A percentage: 2%, or 2."""

    name = "PERCENT"

    def convert(self, value: Any, parameter: Any, context: Any) -> float:
        """Return it as a share."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%?", value)
        if not found:
            self.fail(f"{value!r} is not a percentage such as 2%", parameter, context)
        return float(found[1]) / 100


def _settings(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
    try:
        return dict(map(parse_setting, texts))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("base", required=False)
@click.argument("head", required=False)
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=_settings,
    metavar="NAME=VALUE",
    help="A variable that HEAD has and BASE has not, or app.KEY of swarmscope.toml; repeatable.",
)
@click.option(
    "--time",
    "time_s",
    default="20m",
    show_default=True,
    type=Seconds(),
    help="Max time of all turns.",
)
@click.option(
    "--precision",
    default="2%",
    show_default=True,
    type=Percent(),
    help="Stop once the differences are known this well, each way.",
)
@click.option(
    "--max-regression",
    default="0%",
    show_default=True,
    type=Percent(),
    help="Fail only if HEAD is slower by more than this.",
)
@click.option(
    "--figure",
    default=DEFAULT_FIGURE,
    show_default=True,
    type=click.Choice(OF_LATENCY),
    metavar="FIGURE",
    help="The figure of latency that decides, beside CPU time: service or response, and p50, p95"
    " or mean.",
)
@click.option(
    "-u",
    "--users",
    default=10,
    show_default=True,
    envvar="LOCUST_USERS",
    metavar="NUMBER",
    type=click.IntRange(1),
    help="Users that drive each turn.",
)
@click.option(
    "--turn",
    "measured_s",
    default="10s",
    show_default=True,
    type=Seconds(),
    help="Time that is measured in a turn.",
)
@click.option(
    "--warm-up",
    "warm_up_s",
    default="3s",
    show_default=True,
    type=Seconds(),
    help="Time before that in a turn, which is not.",
)
@click.option(
    "--locust", "arguments", default="", metavar="ARGUMENTS", help="More of Locust's arguments."
)
@click.option("--no-pin", is_flag=True, help="Do not divide the cores between both ends.")
@click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    help="Of the order of turns, which is drawn by chance  [default: another each time]",
)
@click.option(
    "--json",
    "output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything to FILE as JSON.",
)
@one_line_errors()
def ab(
    base: str | None,
    head: str | None,
    settings: dict[str, str],
    time_s: float,
    precision: float,
    max_regression: float,
    figure: str,
    users: int,
    measured_s: float,
    warm_up_s: float,
    arguments: str,
    no_pin: bool,
    seed: int | None,
    output: Path | None,
) -> None:
    """Compare two revisions or settings by turns.

    BASE and HEAD are revisions of the repository here; a dot, HEAD's default, is the working tree
    as it is. They are served and driven by turns, A B B A, until the difference is known or the
    time is over. Each turn is a run of its own, with the scenarios of the working tree.

    Exit status: 0 if HEAD is not slower, 3 if it is, 4 if that is not known, 1 if a turn fails.

    \b
    Examples:
      swarmscope ab main
      swarmscope ab v1.2 v1.3 --time 40m --precision 1%
      swarmscope ab --set API_WORKERS=4
    """
    if base is None and not settings:
        raise click.UsageError("name a BASE to compare with, or give --set NAME=VALUE")
    base = base or HERE
    wanted = Wanted(base, {}), Wanted(head or (base if settings else HERE), settings)
    seed = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    wishes = Wishes(precision, time_s, figure, max_regression, seed=seed)
    load = Load(users, warm_up_s, measured_s, shlex.split(arguments))
    interruptible()
    with explained():
        if output:
            atomic_files.check(output)
        try:
            trial, found = _compared(wanted, wishes, load, no_pin)
        except KeyboardInterrupt:
            click.echo("Everything has been stopped.")
            sys.exit(INTERRUPTED)
    status = STATUSES.get(found.kind, 0)
    if output:
        atomic_files.write(output, json.dumps(_document(trial, found, status), indent=2) + "\n")
    print_result(trial, found)
    click.get_current_context().exit(status)


def _compared(
    wanted: tuple[Wanted, Wanted], wishes: Wishes, load: Load, no_pin: bool
) -> tuple[Trial, Verdict]:
    """Take the turns; nothing of them runs afterwards."""
    divided = cores.Cores() if no_pin else cores.divided()
    began = datetime.now(UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    with session(
        wanted, load, divided, Progress(console()), click.echo, f"A/B of {began}"
    ) as ready:
        titles = tuple(side.title for side in ready.sides.values())
        click.echo(f"A: {titles[0]}\nB: {titles[1]}\nCores: {divided.text}. Seed: {wishes.seed}.")
        trial = Trial(wishes, (titles[0], titles[1]), click.echo)
        return trial, trial.run(ready.serve)


def print_result(trial: Trial, found: Verdict) -> None:
    """Print the table of all figures, and the verdict."""
    terminal = Console(highlight=False)
    if trial.deciding:
        terminal.print("", _table([*trial.deciding, *trial.explaining]), sep="\n")
        parts = [f for f in trial.explaining if f.differs and f.name in (*PARTS, *CALLS)]
        changed = "; ".join(found.words for found in parts)
        terminal.print()
        terminal.print(harmless(f"Parts that changed: {changed or 'none, for certain'}."))
    terminal.print(harmless(found.text), style="bold")


def _table(results: Sequence[FigureResult]) -> Table:
    """Return a row per figure, those that decide first."""
    table = bare_table(("ms",), ("A", "B", "change", "from", "to"))
    for found in results:
        ends = ("?" if end is None else f"{end:+.1%}" for end in (found.low, found.high))
        cells = digits(found.a), digits(found.b), f"{found.change:+.1%}", *ends
        table.add_row(found.name, *cells)
    return table


def _document(trial: Trial, found: Verdict, status: int) -> dict[str, Any]:
    """Return everything, as docs/ab.md describes it."""
    turns = [
        {
            "block": number + 1,
            "side": turn.side,
            "run": turn.run,
            "requests": turn.figures.requests,
            "failures": turn.figures.failures,
            "cpu_s": turn.figures.cpu_s,
        }
        for number, block in enumerate(trial.blocks)
        for turn in block
    ]
    return {
        "version": 1,
        "a": trial.titles[0],
        "b": trial.titles[1],
        "verdict": found.kind,
        "text": found.text,
        "status": status,
        "deciding": msgspec.to_builtins(trial.deciding),
        "explaining": msgspec.to_builtins(trial.explaining),
        "wishes": msgspec.to_builtins(trial.wishes),
        "turns": turns,
    }
