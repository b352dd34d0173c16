"""Services on other machines: the master of workers that run here, and the runs database.

Also warns about what other machines can reach here.
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
from swarmscope.stack.settings import StackSettings, is_loopback

MASTER_S = 90.0  # time to start it
RETRY_S = 0.5
CONNECT_S = 5
SIGNATURE_BYTES = 10  # that a ZeroMQ peer sends first: ff, eight bytes, 7f (ZMTP 3.1)


@dataclass(frozen=True)
class MasterTrouble:
    """Why no master answers, and whether that may pass."""

    text: str
    passing: bool


def master_trouble(host: str, port: int) -> MasterTrouble | None:
    """Return why there is no master at that address, or None."""
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
    except socket.gaierror as error:
        return MasterTrouble(f"--master-host {host}: {error.strerror}", passing=False)
    except OSError as error:
        return MasterTrouble(
            f"no master answers at {host}:{port} ({error.strerror or error}); set"
            " LOCUST_MASTER_BIND_HOST there so that other machines can reach it",
            passing=True,
        )
    greeting = b"?"
    with connection, contextlib.suppress(OSError):  # silence
        greeting = connection.recv(SIGNATURE_BYTES, socket.MSG_WAITALL)
    if len(greeting) == SIGNATURE_BYTES and (greeting[0], greeting[-1]) == (0xFF, 0x7F):
        return None
    if not greeting:
        return MasterTrouble(
            f"{host}:{port} closes the connection, as a tunnel without a master does", passing=True
        )
    return MasterTrouble(
        f"the server at {host}:{port} is not a Locust master; its port for workers"
        " (--master-port) is 5557 unless LOCUST_MASTER_BIND_PORT changes it",
        passing=False,
    )


def wait_for_master(settings: StackSettings, show: Callable[[str, str, str], None]) -> None:
    """Return when the workers' master answers; raise `StackError` if it does not."""
    deadline = time.monotonic() + MASTER_S
    while trouble := master_trouble(settings.master_host, settings.master_port):
        if not trouble.passing or time.monotonic() > deadline:
            raise StackError(trouble.text)
        show("locust-worker", "retrying", trouble.text)
        time.sleep(RETRY_S)


def libpq(environment: Mapping[str, str], home: Home) -> dict[str, str]:
    """Return the ``PG*`` variables of a runs database on another machine.

    Role and database default to swarmscope's, the password file to that in the home, if it was
    copied there. Empty if nothing says where the database is.
    """
    given = {name: value for name, value in environment.items() if name.startswith("PG") and value}
    if not given.keys() & set(NAMES_DATABASE):
        return {}
    defaults = {"PGUSER": OWNER, "PGDATABASE": DATABASE}
    if home.pgpass.exists():
        defaults["PGPASSFILE"] = str(home.pgpass)
    return defaults | given


def database_trouble(environment: Mapping[str, str], home: Home) -> str | None:
    """Return why samples cannot be stored now, and where they are kept; None if they can."""
    where = libpq(environment, home)
    if not where:
        return f"PGHOST is not set; samples are kept {_kept(home)}"
    command = [str(binary("psql")), "--no-psqlrc", "--no-password", "--command", "SELECT 1"]
    settings = {"PGCONNECT_TIMEOUT": str(CONNECT_S), **environment, **where}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    reason = " ".join(done.stderr.split()).removeprefix("psql: error: ")
    return f"it cannot be reached; until it can, samples are kept {_kept(home)}; {reason}"


def _kept(home: Home) -> str:
    journals = home / JOURNALS
    return f"in {journals}, and `swarmscope ship {journals} --database URL` delivers them"


def exposure_warnings(settings: StackSettings) -> list[str]:
    """Return warnings about the services that other machines can reach."""
    warnings = []
    if "locust" in settings.only and not is_loopback(settings.master_bind_host):
        port = settings.ports["LOCUST_MASTER_BIND_PORT"]
        warnings.append(
            f"Locust's master listens at {settings.master_bind_host}:{port} without a password:"
            " anyone who can reach it can join the swarm. Allow only your own network."
        )
        if settings.target == settings.url("API_PORT"):
            warnings.append(
                "LOCUST_HOST is not set: a worker on another machine would send requests to itself."
            )
    if "postgres" in settings.only and not is_loopback(settings.postgres_bind_host):
        port = settings.ports["POSTGRES_PORT"]
        warnings.append(
            f"PostgreSQL listens at {settings.postgres_bind_host}:{port}: swarmscope's roles can"
            " connect from other machines, by password, unencrypted. Allow only your own network."
        )
    return warnings
