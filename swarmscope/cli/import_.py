"""The verb ``import``: runs of other databases, from the files of ``export --bundle``."""

from __future__ import annotations

from pathlib import Path

import click

from swarmscope.cli._shared import database_option, one_line_errors, reading
from swarmscope.runs import bundles


@click.command("import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(path_type=Path),
)
@database_option
@one_line_errors()
def import_(files: tuple[Path, ...], database: str | None) -> None:
    """Store runs from files of `export --bundle`.

    A run that is there already stays as it is. Raw requests are not in these files: `export` finds
    none, and the lists of failures and of slowest requests are empty.

    \b
    Examples:
      swarmscope import baseline.zip
      swarmscope import nightly-*.zip --database postgresql://swarmscope@db.example/swarmscope
    """
    with reading(database) as connection:
        for file in files:
            run, is_new = bundles.load(connection, file)
            click.echo(f"{run}: {'stored' if is_new else 'is there already'}")
