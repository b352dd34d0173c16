"""The command ``swarmscope``: a table of verbs, whose modules are imported when called."""

from __future__ import annotations

import importlib
import os
import sys
from keyword import iskeyword
from pathlib import Path
from typing import Any

import click

import swarmscope
from swarmscope.formatting import printable

VERBS = {  # the module of each, and its summary: none is imported to list them
    "init": ("swarmscope.cli.init", "Write settings and a first scenario for a Flask app."),
    "try": ("swarmscope.cli.try_", "Find out how much load a Flask app can take."),
    "up": ("swarmscope.cli.stack", "Start the stack, or some of its services."),
    "demo": ("swarmscope.cli.stack", "Start the stack with the sample API and its scenario."),
    "status": ("swarmscope.cli.stack", "Show which services are running, and where."),
    "down": ("swarmscope.cli.stack", "Stop the stack; its data is kept."),
    "logs": ("swarmscope.cli.stack", "Print the logs of the stack's services."),
    "locust": ("swarmscope.cli.locust", "Run Locust on any locustfile, and record its runs."),
    "runs": ("swarmscope.cli.runs", "List runs, latest first."),
    "show": ("swarmscope.cli.show", "Print a run's figures."),
    "export": (
        "swarmscope.cli.export",
        "Export a run's raw requests as CSV, or the run as one file.",
    ),
    "import": ("swarmscope.cli.import_", "Store runs from files of `export --bundle`."),
    "check": ("swarmscope.cli.check", "Check a run against thresholds."),
    "compare": ("swarmscope.cli.compare", "Compare two runs, telling changes from noise."),
    "ab": ("swarmscope.cli.ab", "Compare two revisions or settings by turns."),
    "trend": ("swarmscope.cli.trend", "Show a figure over runs, and since which run it differs."),
    "report": ("swarmscope.cli.report", "Write a run's page as one HTML file."),
    "flamegraph": (
        "swarmscope.cli.flamegraph",
        "Write the flame graph of a run, or of what has changed.",
    ),
    "dashboards": ("swarmscope.cli.dashboards", "Write dashboards and rules for your own Grafana."),
    "prune": ("swarmscope.cli.database", "Delete raw requests and profiles older than AGE."),
    "migrate": ("swarmscope.cli.database", "Create or upgrade the schema of a runs database."),
    "ship": ("swarmscope.cli.ship", "Deliver samples left on disk to the runs database."),
}
EXTRAS = {  # else runs
    "swarmscope.cli.ab": "stack",
    "swarmscope.cli.init": "stack",
    "swarmscope.cli.locust": "client",
    "swarmscope.cli.stack": "stack",
    "swarmscope.cli.try_": "stack",
}


class LazyGroup(click.Group):
    """Imports a verb's module only for that verb, so that one extra works without the other."""

    def invoke(self, context: click.Context) -> Any:
        """Run a verb; escape what its error quotes, which may hold control characters."""
        try:
            return super().invoke(context)
        except click.ClickException as error:
            vars(error)["message"] = printable(error.message, keep="\n")
            raise

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in VERBS.items()])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a verb's command; if its extra is not installed, one that says how to get it."""
        if name not in VERBS:
            return None
        module_name, _ = VERBS[name]
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("swarmscope"):
                raise
            extra = EXTRAS.get(module_name, "runs")
            return _missing(name, error.name.split(".")[0], extra)
        command = getattr(module, f"{name}_" if iskeyword(name) else name)
        assert isinstance(command, click.Command)
        return command


def _missing(verb: str, module: str, extra: str) -> click.Command:
    """Return a command that prints why the verb is not available."""
    text = f"{module} is missing; install it with: pip install 'swarmscope[{extra}]'"

    def refuse(arguments: tuple[str, ...]) -> None:
        raise click.ClickException(text)

    return click.Command(
        verb,
        callback=refuse,
        help=text,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(swarmscope.__version__)
def main() -> None:
    """See a load test from both ends, per run, on one time axis.

    \b
    Examples:
      swarmscope up --detach
      swarmscope show latest
      swarmscope check latest --p95 450
    """
    if Path(".env").is_file():
        _find_home()


def _find_home() -> None:
    """Set SWARMSCOPE_HOME as ``.env`` says, so that every verb finds the home of `up`."""
    try:
        from swarmscope.stack.errors import StackError
        from swarmscope.stack.settings import home_directory, merged_environment
    except ModuleNotFoundError:  # without the extra there is no `up`
        return
    directory = Path.cwd()
    try:
        home = home_directory(directory, merged_environment(directory, os.environ))
    except StackError as error:
        raise click.ClickException(str(error)) from error
    os.environ["SWARMSCOPE_HOME"] = str(home)


if __name__ == "__main__":
    sys.exit(main())
