"""The verb ``ship``: delivers what Locust's shippers have left behind."""

from __future__ import annotations

from pathlib import Path

import click
import psycopg

from swarmscope import home
from swarmscope.formatting import first_line
from swarmscope.runs.schema import migrations
from swarmscope.shipper.process import Shipper


@click.command()
@click.argument(
    "directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--database",
    metavar="URL",
    help="Connection string; else what PG* says, else the database of `swarmscope up`.",
)
def ship(directory: Path | None, database: str | None) -> None:
    """Deliver the samples that wait in DIRECTORY to the runs database.

    DIRECTORY is $SWARMSCOPE_HOME/journals unless given. A shipper that works there at the same
    time does no harm.
    """
    directory = directory or home.find() / home.JOURNALS
    if not directory.is_dir():
        raise click.ClickException(f"there is no directory {directory}")
    try:
        shipper = Shipper(directory, home.locate_database(database))
        while shipper.round():
            click.echo(f"{shipper.delivered:,} samples delivered …", err=True)
    except (home.Unreachable, migrations.NewerSchema) as error:
        raise click.ClickException(str(error)) from error
    except psycopg.Error as error:
        raise click.ClickException(first_line(error)) from error
    left = "; Locust still writes some" if shipper.any_alive() else ""
    click.echo(f"{shipper.delivered:,} samples delivered from {directory}{left}.")
