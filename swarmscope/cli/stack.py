"""The verbs ``up``, ``demo``, ``status``, ``logs`` and ``down``."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from swarmscope.atomic_files import Unwritable
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.logs import print_logs
from swarmscope.stack.ports import MAX_PORT
from swarmscope.stack.progress import Progress
from swarmscope.stack.project import NOT_A_PROJECT, read_project
from swarmscope.stack.settings import (
    SERVICES,
    home_directory,
    merged_environment,
    read_settings,
)
from swarmscope.stack.shipped import shipped
from swarmscope.stack.status import describe, table
from swarmscope.stack.up_record import read_record

PRIVATE_FILES = 0o077  # umask of everything that writes into the home
CRASHED = "The stack had crashed; cleaned up what it left behind."
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a user can fix into one line and exit status 1."""
    try:
        yield
    except (StackError, Unwritable) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'swarmscope'}: {error.strerror}") from error


def home_here() -> Home:
    """Return the home of the current directory, as settings say."""
    directory = Path.cwd()
    return Home(home_directory(directory, merged_environment(directory, os.environ)))


def console() -> Console:
    return Console(highlight=False, markup=False)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


def interruptible() -> None:
    """Have every signal that ends a process raise KeyboardInterrupt, as Ctrl-C does."""
    for number in ENDING_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)


START_OPTIONS = (
    click.option("--detach", is_flag=True, help="Return once every service is ready."),
    click.option(
        "--only",
        multiple=True,
        type=click.Choice(SERVICES),
        help="Start only this service; repeatable. PGHOST names a database elsewhere.",
    ),
    click.option("--master-host", metavar="HOST", help="Host of the workers' master."),
    click.option(
        "--master-port",
        metavar="PORT",
        type=click.IntRange(1, MAX_PORT),
        help="The master's port for workers  [default: 5557]",
    ),
)


def _starts(start: Callable[..., None]) -> click.Command:
    """Return the verb with the options of a start."""
    for option in reversed(START_OPTIONS):
        start = option(start)
    return click.command()(start)


@_starts
def up(**options: Any) -> None:
    """Start the stack, or some of its services.

    The stack is the app that swarmscope.toml names, PostgreSQL, Prometheus, Locust and Grafana.
    Ctrl-C stops it; with --detach, `swarmscope down` does.

    \b
    Examples:
      swarmscope up
      swarmscope up --detach --only postgres --only prometheus
      swarmscope up --only locust-worker --master-host load-1.example
    """
    _start(Path.cwd(), **options)


@_starts
def demo(**options: Any) -> None:
    """Start the stack with the sample API and its scenario.

    Everything that it creates is in .swarmscope here; `swarmscope down` stops it.

    \b
    Examples:
      swarmscope demo
      swarmscope demo --detach
    """
    _start(shipped(), **options)


def _start(
    where: Path,
    detach: bool,
    only: tuple[str, ...],
    master_host: str | None,
    master_port: int | None,
) -> NoReturn:
    """Start the project in the directory *where*, with home and ``.env`` of this one."""
    from swarmscope.stack.up import run

    chosen = only or SERVICES
    master = {"LOCUST_MASTER_NODE_HOST": master_host, "LOCUST_MASTER_NODE_PORT": master_port}
    given = {name: str(value) for name, value in master.items() if value is not None}
    if given and ("locust" in chosen or "locust-worker" not in chosen):
        raise click.UsageError("--master-host and --master-port need --only locust-worker")

    interruptible()
    os.umask(PRIVATE_FILES)
    with explained():
        project = read_project(where)
        if project is None and "app" in chosen:
            raise StackError(NOT_A_PROJECT)
        settings = read_settings(Path.cwd(), os.environ | given, chosen, project)
        sys.exit(run(settings, Home(settings.home), console(), detach))


@click.command()
def down() -> None:
    """Stop the stack; its data is kept.

    \b
    Examples:
      swarmscope down
    """
    from swarmscope.stack.lifecycle import stop
    from swarmscope.stack.up import report_undelivered

    os.umask(PRIVATE_FILES)
    with explained():
        home = home_here()
        terminal = console()
        if read_record(home) is None:
            terminal.print(f"swarmscope is not up (nothing runs from {home.path}).", soft_wrap=True)
            return
        with home.locked(), Progress(terminal) as progress:
            ran = stop(home, progress.set)
        terminal.print("swarmscope is down." if ran else CRASHED)
        report_undelivered(home, terminal)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show which services are running, and where.

    \b
    Examples:
      swarmscope status
      swarmscope status --json
    """
    with explained():
        found = describe(home_here())
        if as_json:
            click.echo(json.dumps(found, indent=2))
        else:
            console().print(table(found), soft_wrap=True)


@click.command()
@click.argument("service", required=False)
@click.option(
    "-n",
    "--lines",
    default=50,
    show_default=True,
    metavar="NUMBER",
    help="Print the last NUMBER lines.",
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines.")
def logs(service: str | None, lines: int, follow: bool) -> None:
    """Print the logs of the stack's services.

    SERVICE is the one to print; all of them by default.

    \b
    Examples:
      swarmscope logs
      swarmscope logs locust -f
    """
    with explained():
        print_logs(home_here(), service, lines, follow)
