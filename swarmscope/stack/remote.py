"""What runs on other machines: the master of workers that run here, or the runs database.

And what other machines are let into here, which people are told of.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from swarmscope.container.secrets import OWNER
from swarmscope.home import JOURNALS, NAMES_DATABASE
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import DATABASE, Home
from swarmscope.stack.postgres import binary
from swarmscope.stack.settings import Settings, is_loopback

MASTER_S = 90.0  # for somebody to start it
RETRY_S = 0.5
CONNECT_S = 5
SIGNATURE_BYTES = 10  # of a ZeroMQ peer, which sends it unasked: ff, eight bytes, 7f (ZMTP 3.1)


@dataclass(frozen=True)
class Trouble:
    """Why no master answers, and whether waiting may help."""

    text: str
    passing: bool


def master_trouble(host: str, port: int) -> Trouble | None:
    """Return why a worker would find no master at that address, or None."""
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
    except socket.gaierror as error:
        return Trouble(f"--master-host {host}: {error.strerror}", passing=False)
    except OSError as error:
        return Trouble(
            f"no master answers at {host}:{port} ({error.strerror or error}); there,"
            " LOCUST_MASTER_BIND_HOST lets other machines reach it",
            passing=True,
        )
    greeting = b"?"
    with connection, contextlib.suppress(OSError):  # silence
        greeting = connection.recv(SIGNATURE_BYTES, socket.MSG_WAITALL)
    if len(greeting) == SIGNATURE_BYTES and (greeting[0], greeting[-1]) == (0xFF, 0x7F):
        return None
    if not greeting:
        return Trouble(f"{host}:{port} hangs up, as a tunnel to no master does", passing=True)
    return Trouble(
        f"what answers at {host}:{port} is no Locust master; its port for workers"
        " (--master-port) is 5557 unless LOCUST_MASTER_BIND_PORT moved it",
        passing=False,
    )


def await_master(settings: Settings, show: Callable[[str, str, str], None]) -> None:
    """Return when the workers' master answers; raise `StackError` when it never will."""
    deadline = time.monotonic() + MASTER_S
    while trouble := master_trouble(settings.master_host, settings.master_port):
        if not trouble.passing or time.monotonic() > deadline:
            raise StackError(trouble.text)
        show("locust-worker", "looking", trouble.text)
        time.sleep(RETRY_S)


def libpq(environment: Mapping[str, str], home: Home) -> dict[str, str]:
    """Return the ``PG*`` variables that lead to a runs database of another machine.

    Role and database are ours unless said otherwise; so is the password file, which people may
    have brought along. Empty when nothing says where the database is.
    """
    given = {name: value for name, value in environment.items() if name.startswith("PG") and value}
    if not given.keys() & set(NAMES_DATABASE):
        return {}
    ours = {"PGUSER": OWNER, "PGDATABASE": DATABASE}
    if home.pgpass.exists():
        ours["PGPASSFILE"] = str(home.pgpass)
    return ours | given


def database_trouble(environment: Mapping[str, str], home: Home) -> str | None:
    """Return why nothing can be stored now, and what becomes of the samples; None if it can."""
    where = libpq(environment, home)
    if not where:
        return f"PGHOST names none; samples stay {_kept(home)}"
    command = [str(binary("psql")), "--no-psqlrc", "--no-password", "--command", "SELECT 1"]
    settings = {"PGCONNECT_TIMEOUT": str(CONNECT_S), **environment, **where}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    reason = " ".join(done.stderr.split()).removeprefix("psql: error: ")
    return f"it cannot be reached; until it can, samples stay {_kept(home)}; {reason}"


def _kept(home: Home) -> str:
    journals = home / JOURNALS
    return f"in {journals}, and `swarmscope ship {journals} --database URL` brings them"


def exposures(settings: Settings) -> list[str]:
    """Return what people should know who let other machines in."""
    told = []
    if "locust" in settings.only and not is_loopback(settings.master_bind_host):
        port = settings.ports["LOCUST_MASTER_BIND_PORT"]
        told.append(
            f"Locust's master listens at {settings.master_bind_host}:{port}, where it asks for no"
            " password: whoever reaches it can join the swarm. Let only your own network in."
        )
        if settings.environment.get("LOCUST_HOST") is None:
            told.append(
                "LOCUST_HOST is not set: a worker on another machine would drive that machine."
            )
    if "postgres" in settings.only and not is_loopback(settings.postgres_bind_host):
        port = settings.ports["POSTGRES_PORT"]
        told.append(
            f"PostgreSQL listens at {settings.postgres_bind_host}:{port}: swarmscope's roles may"
            " come from other machines, by password, unencrypted. Let only your own network in."
        )
    return told
