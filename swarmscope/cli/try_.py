"""The verb ``try``: from a Flask app to a capacity verdict and a report, in one command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from swarmscope import atomic_files
from swarmscope.cli.init import planned
from swarmscope.cli.stack import console, explained, interruptible
from swarmscope.onboarding.plan import Wishes
from swarmscope.onboarding.try_out import Trial, try_out
from swarmscope.stack.progress import Progress
from swarmscope.stack.project import read_project
from swarmscope.stack.up import INTERRUPTED


@click.command("try")
@click.argument("app", required=False, metavar="[MODULE:APP]")
@click.option(
    "--p95",
    "p95_ms",
    metavar="MS",
    type=click.FloatRange(0, min_open=True),
    help="Limit of the response time's p95  [default: that of swarmscope.toml, else 450]",
)
@click.option(
    "--run-time",
    default="3m",
    show_default=True,
    metavar="TIME",
    help="Max time of the search, as 90s or 5m.",
)
@click.option(
    "--users-max", type=click.IntRange(1), metavar="USERS", help="Max users that the search tries."
)
@click.option(
    "-o",
    "--output",
    default=Path("swarmscope-try.html"),
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the report to FILE.",
)
@click.option(
    "--from", "source", metavar="SOURCE", help="Where requests come from, as for `swarmscope init`."
)
@click.option(
    "-f",
    "--locustfile",
    metavar="FILE",
    help="The scenario  [default: the project's, else a generated one]",
)
@click.option("--python", metavar="PATH", help="The app's Python, or its environment.")
@click.option("--all-methods", is_flag=True, help="Call methods that change data, too.")
def try_(
    app: str | None,
    p95_ms: float | None,
    run_time: str,
    users_max: int | None,
    output: Path,
    source: str | None,
    locustfile: str | None,
    python: str | None,
    all_methods: bool,
) -> None:
    """Find out how much load a Flask app can take.

    Starts the app in a temporary stack, calls each of its requests once, searches for its capacity,
    and writes a report here. It leaves nothing else behind: no process, no file. What
    swarmscope.toml says applies, except for the app's port and those of the stack.

    \b
    Examples:
      swarmscope try "shop:create_app()" --p95 300 -o shop.html
      swarmscope try --from https://shop.example/metrics --run-time 10m
    """
    interruptible()
    with explained():
        atomic_files.check(output)
        project = read_project(Path.cwd())
        found = planned(
            Wishes(
                app=app,
                locustfile=locustfile,
                source=source,
                python=python,
                all_methods=all_methods,
                project=project,
                naming="swarmscope try",
            )
        )
        asked = Trial(p95_ms, run_time, users_max, output)
        try:
            try_out(found, project, os.environ, asked, Progress(console()), click.echo)
        except KeyboardInterrupt:
            click.echo("Everything has been stopped.")
            sys.exit(INTERRUPTED)
    click.echo(f"Report: {output}")
