"""The verb ``init``: settings and a first scenario for the Flask app of a project."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import indent

import click

from swarmscope import atomic_files
from swarmscope.cli.containers import write_containers
from swarmscope.cli.stack import explained
from swarmscope.onboarding.containers import Sources
from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.plan import NewFile, Plan, Wishes, plan
from swarmscope.stack.app_python import find_python
from swarmscope.stack.project import App, read_project
from swarmscope.stack.settings import merged_environment


@click.command()
@click.option("--app", metavar="MODULE:APP", help="The app, as gunicorn names it.")
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="Where requests come from: an OpenAPI file in JSON, or a service's metrics; a file or a"
    " URL  [default: the app's routes]",
)
@click.option("--python", metavar="PATH", help="The app's Python, or its environment.")
@click.option("--all-methods", is_flag=True, help="Call methods that change data, too.")
@click.option(
    "--compose", is_flag=True, help="Write an override that runs everything in containers."
)
@click.option("--kubernetes", is_flag=True, help="Write a kustomize overlay for a cluster.")
@click.option("--name", help="With either: the service, as Prometheus and dashboards show it.")
@click.option("--image", help="With either: its image  [default: its Dockerfile or compose file]")
@click.option(
    "--requirements",
    metavar="FILE",
    help="With either: pip requirements of the scenarios  [default: requirements.txt beside them]",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--dry-run", is_flag=True, help="Write nothing, show everything.")
def init(
    app: str | None,
    source: str | None,
    python: str | None,
    all_methods: bool,
    compose: bool,
    kubernetes: bool,
    name: str | None,
    image: str | None,
    requirements: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Write settings and a first scenario for a Flask app.

    Finds the app in the current directory, loads it with the project's own Python, and sends it a
    GET per route to see what can be called.

    \b
    Examples:
      swarmscope init
      swarmscope init --app "shop:create_app()" --dry-run
      swarmscope init --from https://shop.example/metrics
      swarmscope init --compose
    """
    with explained():
        if compose or kubernetes:
            sources = Sources(name, image, requirements)
            write_containers(
                sources, kubernetes, dry_run, partial(_write, force=force, dry_run=dry_run)
            )
            return
        project = None if force or app else read_project(Path.cwd())
        found = planned(
            Wishes(
                app=app,
                source=source,
                python=python,
                all_methods=all_methods,
                renew=force,
                project=project,
            )
        )
        if project:
            click.echo(f"Settings: {project.file}, as they are; --force writes new ones.")
        written = [_write(Path.cwd(), file, force, dry_run) for file in found.files]
    if any(written) and not dry_run:
        click.echo("\nNext: swarmscope up")


def planned(wishes: Wishes) -> Plan:
    """Return the plan for the current directory, once its notes are printed."""
    directory = Path.cwd()
    environment = merged_environment(directory, os.environ)
    app = wishes.declared
    if app is None:  # it is looked for, or named
        known = wishes.project.apps[0] if wishes.project else App("app")
        python = wishes.python or known.python
        app = replace(known, wsgi="app", command=None, url=None, python=python)
    app_python = None if app.url else find_python(app, directory, environment)
    try:
        found = plan(directory, wishes, app_python, {**app.env, **environment})
    except Unclear as error:
        raise click.ClickException(str(error)) from error
    for note in found.notes:
        click.echo(note)
    return found


def _write(directory: Path, file: NewFile, force: bool, dry_run: bool) -> bool:
    """Show a file and write it, unless it exists; return whether it was written."""
    path = directory / file.path
    if file.end_of is None and path.exists() and not force:
        click.echo(f"\n{file.path} exists and stays as it is; --force overwrites it.")
        return False
    mark = "+ " if file.end_of is not None else "  "
    click.echo(f"\n{file.path}")
    click.echo(indent(file.text.rstrip("\n"), mark))
    if not dry_run:
        atomic_files.write(path, (file.end_of or "") + file.text)
    return True
