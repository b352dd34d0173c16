"""The verb ``locust``."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import click

from swarmscope.stack.locust_command import LOCUST

for _needed in ("locust", "locust_plugins"):
    if find_spec(_needed) is None:
        raise ModuleNotFoundError(f"No module named {_needed!r}", name=_needed)


class _Locust(click.Command):
    def get_help(self, context: click.Context) -> str:
        """Return our help, and then Locust's with the options that swarmscope adds."""
        theirs = subprocess.run([*LOCUST, "--help"], capture_output=True, text=True)
        return f"{super().get_help(context)}\n\n{theirs.stdout or theirs.stderr}".rstrip()


@click.command(cls=_Locust, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def locust(arguments: tuple[str, ...]) -> None:
    """Run Locust on any locustfile, and record its runs.

    ARGUMENTS are Locust's own. The locustfile needs no change: its requests say when they were
    sent, and every run is stored if there is a runs database. LOCUST_TIMESCALE=false stores none.
    Scenarios, host and SLO are those of the project that `up` or `demo` runs here, unless ARGUMENTS
    or the environment name others.

    \b
    Examples:
      swarmscope locust -f locustfile.py -H http://localhost:5000
      swarmscope locust --headless -u 50 -r 10 -t 60s --check-p95 450
    """
    os.execve(LOCUST[0], [*LOCUST, *arguments], os.environ | _of_project())


def _of_project() -> dict[str, str]:
    """Return what the project here, or the one that `up` runs from here, says to Locust."""
    try:
        from swarmscope.cli.stack import explained, home_here
        from swarmscope.stack.project import read_project
        from swarmscope.stack.settings import locust_environment
        from swarmscope.stack.up_record import running
    except ModuleNotFoundError:  # without the extra there is no `up`
        return {}
    here = Path.cwd()
    with explained():
        project = read_project(here)
        if project is None and (record := running(home_here())) and record.project:
            project = read_project(Path(record.project))
        return locust_environment(here, os.environ, project) if project else {}
