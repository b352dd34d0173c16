"""The verbs about stored runs: ``runs``, ``show``, ``prune`` and ``migrate``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import psycopg
from psycopg import conninfo
from rich.console import Console

from swarmscope.cli import shortlist, tables
from swarmscope.formatting import first_line
from swarmscope.home import Unreachable, locate_database, locate_prometheus
from swarmscope.runs import assembly, database, queries
from swarmscope.runs.model import Summary
from swarmscope.runs.schema import maintenance, migrations, roles

Connection = psycopg.Connection[Any]

database_option = click.option(
    "--database",
    metavar="URL",
    help="Connection string; else what PG* says, else the database of `swarmscope up`.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn what a user can mend into one line and exit status 1."""
    try:
        yield
    except (Unreachable, migrations.NewerSchema, queries.NoSuchRun) as error:
        raise click.ClickException(str(error)) from error
    except psycopg.Error as error:
        raise click.ClickException(f"the runs database refused: {first_line(error)}") from error


@contextmanager
def reading(where: str | None) -> Iterator[Connection]:
    """Connect for a verb; what a user can mend ends it with one line and exit status 1."""
    with _one_line_errors(), database.connect_to_read(where) as connection:
        yield connection


def print_json(value: object) -> None:
    """Print *value*, of types that msgspec knows, for people and programs."""
    click.echo(json.dumps(msgspec.to_builtins(value), indent=2))


@click.command()
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1))
@json_option
@database_option
def runs(limit: int, as_json: bool, database: str | None) -> None:
    """List runs, latest first.

    Latencies and rates are after ramp-up, or of the whole run where that is too short.
    """
    with reading(database) as connection:
        found = queries.runs(connection, limit)
    if as_json:
        print_json(found)
    elif found:
        console = Console(highlight=False)
        console.print(tables.runs_table(found, console.width))
    else:
        click.echo("No runs yet: start a swarm in the Locust UI.")


@click.command()
@click.argument("run", default="latest")
@click.option("--whole", is_flag=True, help="Figures of the whole run, its ramp included.")
@click.option("--all", "every", is_flag=True, help="Show all endpoints, however many.")
@json_option
@database_option
def show(run: str, whole: bool, every: bool, as_json: bool, database: str | None) -> None:
    """Print one run: RUN is latest, latest~1, an id, or an id's beginning.

    Figures are after ramp-up, or of the whole run where that is too short. --json prints the run's
    document: these figures with all their digits, curves, errors, events (docs/run-document.md).
    """
    with reading(database) as connection:
        found = queries.find(connection, run)
        if as_json:
            services = assembly.ask_prometheus(locate_prometheus())
            print_json(assembly.assemble(connection, found.run_id, whole, services))
            return
        summary = queries.summary(connection, found.run_id, whole)
        verdict = queries.verdict(connection, found.run_id)
        trust = assembly.trust(connection, found.run_id)
        errors = queries.task_errors(connection, found.run_id)
        levels = assembly.levels(connection, found.run_id)
        failures = queries.failures(connection, found.run_id, tables.MOST_FAILURES + 1)
        settings = queries.settings(connection, found.run_id)
    console = Console(highlight=False)
    said = verdict.text if verdict else None
    doubt = trust.text if trust and not trust.trusted else None
    console.print(tables.facts_table(found, said, errors, settings, doubt), "")
    _print_summary(console, summary, every)
    if levels:
        console.print("", tables.levels_table(levels, console.width))
    if failures:
        console.print("", tables.failures_table(failures))
    console.print("", tables.span(summary, found), sep="\n")


def _print_summary(console: Console, summary: list[Summary], every: bool) -> None:
    endpoints = {shortlist.endpoint(row) for row in summary}
    shown = endpoints if every else shortlist.chosen(summary)
    rows = [row for row in summary if shortlist.endpoint(row) in shown]
    console.print(tables.summary_table(rows, console.width))
    if missing := shortlist.left_out(len(endpoints & shown) - 1, len(endpoints) - 1):
        console.print("", missing, sep="\n")


def _age(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    try:
        return None if text is None else maintenance.age(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_age,
    help="30d, 12h, 90m or 2w; else the setting keep_requests_days of the database (30).",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@database_option
def prune(older_than: timedelta | None, dry_run: bool, database: str | None) -> None:
    """Forget raw requests that are older than a while.

    Runs, their events and their histograms stay for ever, and with them all summaries.
    """
    with reading(database) as connection:
        span = maintenance.default_age(connection) if older_than is None else older_than
        if dry_run:
            count = maintenance.prunable(connection, datetime.now(UTC) - span)
            click.echo(f"{count:,} requests would be deleted.")
        else:
            click.echo(f"{maintenance.prune(connection, span):,} requests deleted.")


def _secret(file: Path, role: str) -> str:
    """Return the password in *file*: the bare word, or *role*'s line of a libpq password file."""
    text = file.read_text(encoding="utf-8").strip()
    fields = (line.split(":", 4) for line in text.splitlines())
    secret = next((parts[4] for parts in fields if len(parts) == 5 and parts[3] == role), text)
    if not secret:
        raise click.ClickException(f"{file} holds no password")
    return secret


password_file = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def _password_option(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, type=password_file, metavar="FILE", help=text)


@click.command()
@database_option
@_password_option("--admin-password-file", "Password of the role to connect as.")
@_password_option("--owner-password-file", f"Password to give to the role {roles.OWNER}.")
@_password_option("--reader-password-file", f"Password to give to the role {roles.READER}.")
def migrate(
    database: str | None,
    admin_password_file: Path | None,
    owner_password_file: Path | None,
    reader_password_file: Path | None,
) -> None:
    """Bring a runs database to this version's schema; safe to repeat.

    With both the owner's and the reader's password file, the server is taken for swarmscope's own:
    connected to it as a superuser, this makes the database `swarmscope` and its two roles, sets
    their passwords, and takes from everybody else what was not granted by name. Without them, the
    schema is made in the database and by the role that --database or PG* name.

    A password file holds the bare password, or the role's line of a libpq password file. At the
    end, raw requests beyond their age are pruned.
    """
    files = {roles.OWNER: owner_password_file, roles.READER: reader_password_file}
    passwords = {role: _secret(file, role) for role, file in files.items() if file}
    if len(passwords) == 1:
        raise click.UsageError("give both --owner-password-file and --reader-password-file")
    with _one_line_errors(), _connect_to_change(database, admin_password_file) as connection:
        if not passwords:
            _bring_up_to_date(connection)
            return
        roles.prepare(connection, passwords)
        with roles.connect_as_owner(connection, passwords[roles.OWNER]) as owner:
            _bring_up_to_date(owner)


def _connect_to_change(where: str | None, admin_password_file: Path | None) -> Connection:
    if admin_password_file is None:
        return database.connect(where)
    role = conninfo.conninfo_to_dict(locate_database(where)).get("user") or os.environ.get("PGUSER")
    password = _secret(admin_password_file, str(role or "postgres"))
    return database.connect(where, password=password)


def _bring_up_to_date(connection: Connection) -> None:
    applied = migrations.migrate(connection)
    versions = ", ".join(map(str, applied))
    done = f"applied {versions}" if applied else "up to date"
    click.echo(f"Schema version {migrations.NEWEST}: {done}.")
    age = maintenance.default_age(connection)
    count = maintenance.prune(connection, age, maintenance.AT_START_S)
    if count:
        click.echo(f"{count:,} raw requests beyond their age deleted.")
