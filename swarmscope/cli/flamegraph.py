"""The verb ``flamegraph``: which code a run's services ran, and where its requests waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from swarmscope import atomic_files
from swarmscope.cli._shared import database_option, one_line_errors, output_option, reading
from swarmscope.formatting import printable
from swarmscope.runs import captures, queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run
from swarmscope.runs.page import flamegraph_html
from swarmscope.runs.profiles import formats, storage
from swarmscope.runs.profiles.difference import subtract
from swarmscope.runs.profiles.model import CPU, KINDS, Profile
from swarmscope.runs.profiles.shares import changed_frames, top_frames

FORMATS = {"html": "html", "pprof": "pb.gz", "folded": "txt"}  # and the ends of files' names
TWO = 2  # what is compared
NOT_OF_TWO = "pprof compares two files: write each, then go tool pprof -diff_base=A B"


Given = TypeVar("Given")
Span = tuple[datetime, datetime]
Between = tuple[float, float]  # seconds after a run's start


@dataclass(frozen=True)
class Side:
    """A profile, what it is of in words, and its run."""

    profile: Profile
    title: str
    run: Run


@dataclass(frozen=True)
class Wanted:
    """Which part of a run is meant; *service* None: the first one that has profiles."""

    kind: str
    service: str | None
    route: str | None
    level: int | None
    between: Between | None


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN] [RUN]")
@click.option(
    "--level", "levels", type=click.IntRange(1), multiple=True, help="Only level N of its shape."
)
@click.option(
    "--between",
    "spans",
    type=click.FloatRange(0),
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Only from A to B, in seconds after the run's start.",
)
@click.option("--kind", type=click.Choice(KINDS), default=CPU, show_default=True)
@click.option(
    "--route", metavar="RULE", help="Only requests of this rule, such as /items/<int:id>."
)
@click.option("--service", metavar="NAME", help="[default: the run's first that has profiles]")
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), default="html", show_default=True
)
@output_option("Write to FILE  [default: flamegraph-RUN.html, .pb.gz or .txt in this directory]")
@database_option
@one_line_errors()
def flamegraph(
    runs: tuple[str, ...],
    levels: tuple[int, ...],
    spans: tuple[tuple[float, float], ...],
    kind: str,
    route: str | None,
    service: str | None,
    format_: str,
    output: Path | None,
    database: str | None,
) -> None:
    """Write the flame graph of a run, or of what has changed.

    RUN is latest (the default), latest~1, an id, or the beginning of an id. With two runs, or with
    --level or --between given twice, the graph shows what has changed from the first to the second,
    by shares of the whole.

    --kind waiting shows what requests in flight waited for, while their thread did not run.

    Lines of the application that took at least a fifth are printed.

    \b
    Examples:
      swarmscope flamegraph
      swarmscope flamegraph --level 3 --level 4 --kind waiting
      swarmscope flamegraph latest~1 latest --route /orders
      swarmscope flamegraph --format pprof -o run.pb.gz
    """
    sides = max(len(runs), len(levels), len(spans))
    if sides > TWO or (levels and spans):
        raise click.UsageError("at most two runs, two of --level, or two of --between")
    if sides == TWO and format_ == "pprof":
        raise click.UsageError(NOT_OF_TWO)
    with reading(database) as connection:
        found = [
            _side(
                connection,
                queries.find(connection, _nth(runs, n) or "latest"),
                Wanted(kind, service, route, _nth(levels, n), _nth(spans, n)),
            )
            for n in range(sides or 1)
        ]
    path = output or _default(found[-1].run, FORMATS[format_])
    with atomic_files.written(path) as file:
        file.write(_content(format_, found))
    click.echo(path)
    for line in _sentences(found):
        click.echo(printable(line), err=True)


def _nth(given: Sequence[Given], n: int) -> Given | None:
    """Return what was given for side *n*: the last one holds for all that follow."""
    return given[min(n, len(given) - 1)] if given else None


def _side(connection: Connection, run: Run, wanted: Wanted) -> Side:
    jobs = storage.jobs(connection, run.run_id, wanted.kind)
    job = wanted.service or next(iter(jobs), None)
    spans, words = _spans(connection, run, wanted)
    if job not in jobs:
        raise click.ClickException(_none(run, wanted, jobs))
    profile = storage.read(connection, run.run_id, wanted.kind, str(job), spans)
    if wanted.route is not None:
        profile = profile.of_route(wanted.route)
    if not profile.stacks:
        raise click.ClickException(f"{run.run} has no {wanted.kind} profile of that{words}")
    route = f", {wanted.route}" if wanted.route else ""
    return Side(profile, f"{job}, {wanted.kind}{route}{words}, {run.run}", run)


def _none(run: Run, wanted: Wanted, jobs: Sequence[str]) -> str:
    if jobs:
        return f"{run.run} has no profiles of {wanted.service}; it has those of {', '.join(jobs)}"
    return (
        f"{run.run} has no {wanted.kind} profiles: they were not taken, or are deleted with its raw"
        " requests (docs/flame-graphs.md)"
    )


def _spans(connection: Connection, run: Run, wanted: Wanted) -> tuple[list[Span] | None, str]:
    """Return the spans that are meant, None for the whole run, and in words."""
    if wanted.between:
        a, b = wanted.between
        start = run.run_id
        return [(start + timedelta(seconds=a), start + timedelta(seconds=b))], f", {a:g} to {b:g} s"
    if wanted.level is None:
        return None, ""
    ended = run.ended or datetime.now(UTC)
    levels = {level.number: level for level in captures.levels(connection, run.run_id, ended)}
    level = levels.get(wanted.level)
    if level is None:
        has = f"levels 1 to {max(levels)}" if levels else "no levels"
        raise click.ClickException(f"{run.run} has {has}")
    return [(level.since, level.until)], f", level {wanted.level}"


def _default(run: Run, end: str) -> Path:
    return Path(f"flamegraph-{run.run.replace(':', '-')}.{end}")


def _content(format_: str, sides: Sequence[Side]) -> bytes:
    side = sides[-1]
    if format_ == "pprof":
        return formats.pprof(side.profile, side.title, side.run.run_id)
    if format_ == "html":
        return _html(sides).encode()
    if len(sides) == 1:
        return formats.folded(side.profile).encode()
    same_code = sides[0].run.run_id == side.run.run_id
    changes = subtract(side.profile, sides[0].profile, same_code)
    return formats.folded_difference(changes).encode()


def _html(sides: Sequence[Side]) -> str:
    side = sides[-1]
    if len(sides) == 1:
        return flamegraph_html(side.profile, name=side.title)
    before = sides[0]
    return flamegraph_html(
        side.profile, before.profile, name=side.title, baseline_name=before.title
    )


def _sentences(sides: Sequence[Side]) -> list[str]:
    """Return the lines of the application that are worth naming."""
    of = "CPU" if sides[-1].profile.kind == CPU else "waiting"
    if len(sides) == 1:
        return [
            f"{one.share:.0%} of {of} in {one.frame.place}" for one in top_frames(sides[0].profile)
        ]
    before, after = sides
    return [
        f"{one.baseline:.0%} to {one.share:.0%} of {of} in {one.frame.place}"
        for one in changed_frames(after.profile, before.profile)
    ]
