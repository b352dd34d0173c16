"""The command ``swarmscope``: a table of verbs, each loaded when it is called."""

from __future__ import annotations

import importlib
import sys

import click

import swarmscope

VERBS = {
    "up": "swarmscope.stack.commands",
    "status": "swarmscope.stack.commands",
    "down": "swarmscope.stack.commands",
    "logs": "swarmscope.stack.commands",
    "runs": "swarmscope.runs.commands",
    "show": "swarmscope.runs.commands",
    "prune": "swarmscope.runs.commands",
    "migrate": "swarmscope.runs.commands",
    "ship": "swarmscope.client.commands",
}


class LazyGroup(click.Group):
    """Imports a verb's module only for that verb, so that each end runs without the other's extra."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of a verb; a missing extra is one clear line."""
        if name not in VERBS:
            return None
        try:
            module = importlib.import_module(VERBS[name])
        except ModuleNotFoundError as error:
            extra = VERBS[name].split(".")[1]
            raise click.ClickException(
                f"{error.name} is missing; install it with: pip install 'swarmscope[{extra}]'"
            ) from error
        command = getattr(module, name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(swarmscope.__version__)
def main() -> None:
    """See a load test from both ends, per run, on one time axis."""


if __name__ == "__main__":
    sys.exit(main())
