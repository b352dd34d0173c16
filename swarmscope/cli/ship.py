"""The verb ``ship``: delivers the samples that Locust left on disk."""

from __future__ import annotations

from pathlib import Path

import click

from swarmscope import home
from swarmscope.cli._shared import database_option, one_line_errors
from swarmscope.shipper.process import Shipper


@click.command()
@click.argument(
    "directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@database_option
@one_line_errors()
def ship(directory: Path | None, database: str | None) -> None:
    """Deliver samples left on disk to the runs database.

    DIRECTORY holds them; by default it is $SWARMSCOPE_HOME/journals. It is safe to run while
    another shipper is at work there.

    \b
    Examples:
      swarmscope ship
      swarmscope ship --database postgresql://swarmscope@db.example/swarmscope
    """
    directory = directory or home.find() / home.JOURNALS
    if not directory.is_dir():
        raise click.ClickException(f"there is no directory {directory}")
    shipper = Shipper(directory, home.locate_database(database))
    while shipper.round():
        click.echo(f"{shipper.delivered:,} samples delivered …", err=True)
    left = "; Locust is still writing" if shipper.any_alive() else ""
    click.echo(f"{shipper.delivered:,} samples delivered from {directory}{left}.")
