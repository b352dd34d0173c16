"""The verb ``dashboards``: writes dashboards and rules for one's own Grafana and Prometheus."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from swarmscope import atomic_files
from swarmscope.cli._shared import one_line_errors
from swarmscope.stack.exports import DataSources, exported
from swarmscope.stack.scrape_interval import ScrapeInterval


def _interval(_context: click.Context, _parameter: click.Parameter, text: str) -> Any:
    try:
        return ScrapeInterval.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--scrape-interval",
    "interval",
    default="15s",
    show_default=True,
    metavar="INTERVAL",
    callback=_interval,
    help="How often your Prometheus scrapes the services and Locust.",
)
@click.option(
    "--data-source-uids",
    "uids",
    nargs=2,
    metavar="PROMETHEUS DATABASE",
    help="Write them for Grafana's file provisioning, with these data sources.",
)
@one_line_errors()
def dashboards(directory: Path, interval: ScrapeInterval, uids: tuple[str, str] | None) -> None:
    """Write dashboards and rules for your own Grafana.

    DIR gets a JSON file for each dashboard, to be imported, and swarmscope-rules.yml for
    Prometheus. Files of an earlier version are replaced. The rules' default objective is that of
    LOCUST_SLO_P95 and LOCUST_SLO_FAIL_RATIO, else p95 within 450 ms and 1 % failures.

    \b
    Examples:
      swarmscope dashboards grafana
      swarmscope dashboards grafana --scrape-interval 30s
      swarmscope dashboards grafana --data-source-uids metrics loadtests
    """
    texts = exported(interval, os.environ, DataSources(*uids) if uids else None)
    _prepare(directory, set(texts))
    for name, text in texts.items():
        atomic_files.write(directory / name, text)
        click.echo(directory / name)


def _prepare(directory: Path, names: set[str]) -> None:
    """Make *directory*; refuse one with other files, which Grafana would load as well."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        others = sorted({path.name for path in directory.iterdir()} - names)
    except FileExistsError as error:
        raise click.ClickException(f"{error.filename} is a file; name a directory") from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    if others:
        raise click.ClickException(
            f"{directory} holds other files, such as {others[0]}; name a directory of its own"
        )
    atomic_files.check(directory / min(names))
