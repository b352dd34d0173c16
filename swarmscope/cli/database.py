"""The verbs ``prune`` and ``migrate``: what is kept in the runs database, and its schema."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from psycopg import conninfo

from swarmscope.cli._shared import database_option, one_line_errors, reading
from swarmscope.home import locate_database
from swarmscope.runs import database as runs_database
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import maintenance, migrations, roles


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
    help="Such as 30d, 12h, 90m or 2w  [default: keep_requests_days of the table `setting`]",
)
@click.option("--dry-run", is_flag=True, help="Only print how many would be deleted.")
@database_option
def prune(older_than: timedelta | None, dry_run: bool, database: str | None) -> None:
    """Delete raw requests and profiles older than AGE.

    AGE is 30 days unless a setting of the database says otherwise. Runs, events and histograms are
    kept, and with them every percentile and rate.

    \b
    Examples:
      swarmscope prune --dry-run
      swarmscope prune --older-than 2w
    """
    with reading(database) as connection:
        span = maintenance.default_age(connection) if older_than is None else older_than
        if dry_run:
            number = maintenance.prunable(connection, datetime.now(UTC) - span)
            click.echo(f"{number:,} requests would be deleted.")
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
@_password_option("--owner-password-file", f"Password to set for the role {roles.OWNER}.")
@_password_option("--reader-password-file", f"Password to set for the role {roles.READER}.")
@one_line_errors()
def migrate(
    database: str | None,
    admin_password_file: Path | None,
    owner_password_file: Path | None,
    reader_password_file: Path | None,
) -> None:
    """Create or upgrade the schema of a runs database.

    It is safe to repeat. At the end, raw requests past their retention are deleted.

    By default, the schema is created in the database and by the role that --database or PG*
    variables name. With both --owner-password-file and --reader-password-file, the server is
    swarmscope's own, and you connect as a superuser: the database `swarmscope` and its two roles
    are created, their passwords set, and all privileges not granted by name are revoked.

    A password file holds the bare password, or the role's line of a libpq password file.

    \b
    Examples:
      swarmscope migrate
      swarmscope migrate --database postgresql://me@db.example/swarmscope
    """
    files = {roles.OWNER: owner_password_file, roles.READER: reader_password_file}
    passwords = {role: _secret(file, role) for role, file in files.items() if file}
    if len(passwords) == 1:
        raise click.UsageError("give both --owner-password-file and --reader-password-file")
    with _connect_to_change(database, admin_password_file) as connection:
        if not passwords:
            _bring_up_to_date(connection)
            return
        roles.prepare(connection, passwords)
        with roles.connect_as_owner(connection, passwords[roles.OWNER]) as owner:
            _bring_up_to_date(owner)


def _connect_to_change(where: str | None, admin_password_file: Path | None) -> Connection:
    if admin_password_file is None:
        return runs_database.connect(where)
    told = conninfo.conninfo_to_dict(locate_database(where)).get("user")
    role = str(told or os.environ.get("PGUSER") or "postgres")
    return runs_database.connect(where, password=_secret(admin_password_file, role))


def _bring_up_to_date(connection: Connection) -> None:
    applied = migrations.migrate(connection)
    versions = ", ".join(map(str, applied))
    done = f"applied {versions}" if applied else "up to date"
    click.echo(f"Schema version {migrations.NEWEST}: {done}.")
    age = maintenance.default_age(connection)
    if number := maintenance.prune(connection, age, maintenance.AT_START_S):
        click.echo(f"{number:,} old raw requests deleted.")
