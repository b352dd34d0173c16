"""The layout of the native stack's home, and its creation; docs/architecture.md has a map."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from swarmscope import file_locks
from swarmscope.container.secrets import OWNER, PRIVATE, READABLE_BY_OWNER, password, write_once
from swarmscope.home import DATABASE_URL, JOURNALS
from swarmscope.stack.errors import StackError
from swarmscope.stack.postgres import write_private

DATABASE = "swarmscope"
DIRECTORIES = ("api", "grafana", JOURNALS, "logs", "postgres", "prometheus/targets", "secrets")
CLUSTER = ("postgres", "data")  # PostgreSQL sets its own modes
OTHERS = 0o077  # the permissions of all but the owner
MARKERS = {
    JOURNALS,
    "lock",
    "pgpass",
    "postgres",
    "secrets",
    "up.json",
}  # names by which a home is recognised
MIN_FREE_BYTES = 100 << 20  # an empty cluster takes 40 MB, its write-ahead log soon as much


@dataclass(frozen=True)
class Home:
    """The directory that holds everything that `up` creates."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def pgpass(self) -> Path:
        """The libpq password file of the runs database's owner."""
        return self.path / "pgpass"

    def log(self, service: str) -> Path:
        """Return the log file of *service*."""
        return self.path / "logs" / f"{service}.log"

    def make(self) -> None:
        """Create the directories, closed to other users; raises `StackError` if that fails."""
        try:
            self.path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._close()
            for name in DIRECTORIES:
                (self.path / name).mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            write_private(self.path / ".gitignore", "*\n")  # secrets, in a project's directory
        except OSError as error:
            raise StackError(
                f"{error.filename}: {error.strerror}; set SWARMSCOPE_HOME to another place"
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StackError(f"{self.path} is not writable; set SWARMSCOPE_HOME to another place")

    def _close(self) -> None:
        """Close a home that an earlier version or the user left open to other users."""
        status = self.path.stat()
        if status.st_uid != os.geteuid():
            raise StackError(
                f"{self.path} belongs to another user, who could read all passwords;"
                " set SWARMSCOPE_HOME to another place"
            )
        if not status.st_mode & OTHERS:
            return
        names = {path.name for path in self.path.iterdir()}
        if names and not names & MARKERS:
            raise StackError(
                f"{self.path} holds other files, and would be closed to other users;"
                " set SWARMSCOPE_HOME to a directory for swarmscope alone"
            )
        self.path.chmod(PRIVATE)
        for path in self.path.rglob("*"):
            if not path.is_symlink() and path.relative_to(self.path).parts[:2] != CLUSTER:
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
        (self.path / "lock").unlink(missing_ok=True)  # another user may have opened and locked it

    def check_space(self) -> None:
        """Raise `StackError` if a start would soon fill the disk."""
        if (free := shutil.disk_usage(self.path).free) < MIN_FREE_BYTES:
            raise StackError(
                f"{self.path}: {free >> 20} MB free, but {MIN_FREE_BYTES >> 20} MB are needed;"
                " set SWARMSCOPE_HOME to another place"
            )

    def secret_path(self, name: str) -> Path:
        """Return the file of a password, which the first call generates."""
        path = self.path / "secrets" / name
        write_once(path, READABLE_BY_OWNER, password)
        return path

    def secret(self, name: str) -> str:
        """Return the password in `secret_path`."""
        return self.secret_path(name).read_text()

    def write_pgpass(self, port: int, hosts: Iterable[str] = ("127.0.0.1",)) -> None:
        """Write the password file and the URL of the runs database, which contains no password.

        The password file is valid for *hosts*: with ``*`` it can be copied to other machines.
        """
        rest = f"{port}:*:{OWNER}:{self.secret('owner_password')}\n"
        write_private(self.pgpass, "".join(f"{host}:{rest}" for host in hosts))
        write_private(self.path / DATABASE_URL, self.database_url(port) + "\n")

    def database_url(self, port: int) -> str:
        """Return a URL that libpq accepts; it names the password file."""
        return (
            f"postgresql://{OWNER}@127.0.0.1:{port}/{DATABASE}?passfile={quote(str(self.pgpass))}"
        )

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Lock this home against any other `up` and `down`, until this process ends at the latest.

        Raises `StackError` if another process holds the lock, unless *wait* is set.
        """
        with (self.path / "lock").open("a+") as lock:
            if wait:
                fcntl.flock(lock, fcntl.LOCK_EX)
            elif not file_locks.lock(lock):
                lock.seek(0)
                raise StackError(
                    f"{self.path} is being started or stopped by another swarmscope"
                    f" (pid {lock.read().strip() or 'unknown'})"
                )
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
