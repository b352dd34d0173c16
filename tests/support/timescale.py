"""TimescaleDB in a container: the Apache edition, or the licensed one."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from support import attacks
from support.attacks import PASSWORDS
from support.gunicorn import ROOT
from support.waiting import poll_until
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema.migrations import migrate
from swarmscope.runs.schema.roles import OWNER, connect_as_owner, prepare

STAND_IN = "compose-lab/timescaledb"


def _docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _image() -> str:
    """Return the image that the Compose file names, or its stand-in; skip where neither is."""
    named = re.findall(r"image: (timescale/\S+)", (ROOT / "docker-compose.yml").read_text())
    for candidate in [*named, STAND_IN] if shutil.which("docker") else []:
        with contextlib.suppress(subprocess.CalledProcessError):
            _docker("image", "inspect", candidate)
            return str(candidate)
    pytest.skip("no Docker engine with an image of TimescaleDB")


@contextlib.contextmanager
def timescale_server() -> Iterator[str]:
    """Run a fresh server until the block ends; yields its superuser's connection string."""
    password = secrets.token_hex(8)
    container = _docker(
        "run", "--detach", "--rm", "--publish", "127.0.0.1::5432",
        "--env", f"POSTGRES_PASSWORD={password}", "--env", "POSTGRES_DB=swarmscope", _image(),
    )  # fmt: skip
    try:
        port = _docker("port", container, "5432/tcp").rsplit(":", 1)[1]
        where = f"host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres"
        poll_until(lambda: _accepts(where), "TimescaleDB to answer", seconds=60)
        yield where
    finally:
        _docker("rm", "--force", "--volumes", container)


def _accepts(where: str) -> bool:
    try:
        psycopg.connect(where).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def timescale_database(superuser: str) -> Iterator[str]:
    """Make a database, prepared and migrated as a start does it; yields its name."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        with psycopg.connect(superuser, dbname=name, autocommit=True) as inside:
            _install_extensions(inside)
        prepare(admin, PASSWORDS, name)
        with connect_as_owner(admin, PASSWORDS[OWNER], name) as owner:
            migrate(owner)
            owner.execute(attacks.TRIGGER)
            owner.execute("CREATE SEQUENCE counter")
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _install_extensions(inside: Connection) -> None:
    """Install what an administrator may have, with routines that only superusers should call."""
    wanted = ["dblink", "file_fdw", "pg_buffercache", "pg_stat_statements", "postgres_fdw"]
    query = "SELECT name FROM pg_available_extensions WHERE name = ANY (%s)"
    for (name,) in inside.execute(query, [wanted]).fetchall():
        inside.execute(f"CREATE EXTENSION {name}")


def connection_string(superuser: str, database: str, role: str = OWNER) -> str:
    """Return how a role reaches a database."""
    return psycopg.conninfo.make_conninfo(
        superuser, dbname=database, user=role, password=PASSWORDS[role]
    )


def chunks(connection: Connection) -> int:
    """Return of how many chunks the table `request` consists."""
    return connection.execute("SELECT count(*) FROM show_chunks('request')").fetchall()[0][0]
