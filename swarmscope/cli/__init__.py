"""The command ``swarmscope``: a table of verbs, each loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

import swarmscope
from swarmscope.formatting import printable

VERBS = {
    "up": "swarmscope.cli.stack",
    "status": "swarmscope.cli.stack",
    "down": "swarmscope.cli.stack",
    "logs": "swarmscope.cli.stack",
    "runs": "swarmscope.cli.database",
    "show": "swarmscope.cli.database",
    "export": "swarmscope.cli.export",
    "check": "swarmscope.cli.check",
    "compare": "swarmscope.cli.compare",
    "report": "swarmscope.cli.report",
    "prune": "swarmscope.cli.database",
    "migrate": "swarmscope.cli.database",
    "ship": "swarmscope.cli.ship",
}


class LazyGroup(click.Group):
    """Imports a verb's module only for that verb: each end runs without the other's extra."""

    def invoke(self, context: click.Context) -> Any:
        """Run a verb; what its error quotes, such as a stored text, commands no terminal."""
        try:
            return super().invoke(context)
        except click.ClickException as error:
            vars(error)["message"] = printable(error.message, keep="\n")
            raise

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of a verb; one whose extra is missing says how to get it."""
        if name not in VERBS:
            return None
        try:
            module = importlib.import_module(VERBS[name])
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("swarmscope"):
                raise
            extra = "stack" if VERBS[name] == "swarmscope.cli.stack" else "runs"
            return _missing(name, error.name.split(".")[0], extra)
        command = getattr(module, name)
        assert isinstance(command, click.Command)
        return command


def _missing(verb: str, module: str, extra: str) -> click.Command:
    """Return a command that can only say why it cannot be run."""
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
    """See a load test from both ends, per run, on one time axis."""
    if Path(".env").is_file():
        _find_home()


def _find_home() -> None:
    """Let every verb find the home that ``.env`` names, as `up` does."""
    try:
        from swarmscope.stack.errors import StackError
        from swarmscope.stack.settings import home_directory, merged_environment
    except ModuleNotFoundError:  # without the extra there is no `up` whose home it could be
        return
    directory = Path.cwd()
    try:
        home = home_directory(directory, merged_environment(directory, os.environ))
    except StackError as error:
        raise click.ClickException(str(error)) from error
    os.environ["SWARMSCOPE_HOME"] = str(home)


if __name__ == "__main__":
    sys.exit(main())
