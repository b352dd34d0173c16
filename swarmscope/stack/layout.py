"""Where things are in the native home, and how it is made; docs/architecture.md has the map."""

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

from swarmscope.container.secrets import OWNER, PRIVATE, READABLE_BY_OWNER, password, write_once
from swarmscope.home import DATABASE_URL, JOURNALS
from swarmscope.stack.errors import StackError
from swarmscope.stack.postgres import write_private

DATABASE = "swarmscope"
DIRECTORIES = ("api", "grafana", JOURNALS, "logs", "postgres", "prometheus/targets", "secrets")
CLUSTER = ("postgres", "data")  # PostgreSQL sees to its modes
OTHERS = 0o077  # the permissions of everybody but the owner
OURS = {JOURNALS, "lock", "pgpass", "postgres", "secrets", "up.json"}  # what tells a home
LEAST_FREE_BYTES = 100 << 20  # an empty cluster takes 40 MB, its log of writes soon as much


@dataclass(frozen=True)
class Home:
    """The directory in which everything that `up` makes lives."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def pgpass(self) -> Path:
        """The libpq password file of the role that owns the runs database."""
        return self.path / "pgpass"

    def log(self, service: str) -> Path:
        """Return the file that *service* writes to."""
        return self.path / "logs" / f"{service}.log"

    def make(self) -> None:
        """Make the directories, for nobody else to enter; raises `StackError` where that fails."""
        try:
            self.path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._close()
            for name in DIRECTORIES:
                (self.path / name).mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{error.filename}: {error.strerror}; SWARMSCOPE_HOME names another place"
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StackError(f"{self.path} is not writable; SWARMSCOPE_HOME names another place")

    def _close(self) -> None:
        """Shut others out of a home that an earlier version, or the user, had left open to them."""
        status = self.path.stat()
        if status.st_uid != os.geteuid():
            raise StackError(
                f"{self.path} belongs to another user, who could read all passwords;"
                " SWARMSCOPE_HOME names another place"
            )
        if not status.st_mode & OTHERS:
            return
        names = {path.name for path in self.path.iterdir()}
        if names and not names & OURS:
            raise StackError(
                f"{self.path} holds other files, and nobody else could enter it any more;"
                " SWARMSCOPE_HOME names a directory for swarmscope alone"
            )
        self.path.chmod(PRIVATE)
        for path in self.path.rglob("*"):
            if not path.is_symlink() and path.relative_to(self.path).parts[:2] != CLUSTER:
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
        (self.path / "lock").unlink(missing_ok=True)  # a stranger may have opened it, and hold it

    def check_space(self) -> None:
        """Raise `StackError` where a start would soon fill the disk."""
        if (free := shutil.disk_usage(self.path).free) < LEAST_FREE_BYTES:
            raise StackError(
                f"{self.path}: {free >> 20} MB are free, {LEAST_FREE_BYTES >> 20} MB are needed;"
                " SWARMSCOPE_HOME names another place"
            )

    def secret_path(self, name: str) -> Path:
        """Return the file of a generated password; the first call makes it up and keeps it."""
        path = self.path / "secrets" / name
        write_once(path, READABLE_BY_OWNER, password)
        return path

    def secret(self, name: str) -> str:
        """Return the password in `secret_path`."""
        return self.secret_path(name).read_text()

    def write_pgpass(self, port: int, hosts: Iterable[str] = ("127.0.0.1",)) -> None:
        """Write the password file and the URL of the runs database, which has no password in it.

        The file is good for *hosts*: ``*`` makes it one that can be taken to other machines.
        """
        rest = f"{port}:*:{OWNER}:{self.secret('owner_password')}\n"
        write_private(self.pgpass, "".join(f"{host}:{rest}" for host in hosts))
        write_private(self.path / DATABASE_URL, self.database_url(port) + "\n")

    def database_url(self, port: int) -> str:
        """Return a URL that libpq accepts; the password comes from the file that it names."""
        return (
            f"postgresql://{OWNER}@127.0.0.1:{port}/{DATABASE}?passfile={quote(str(self.pgpass))}"
        )

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Keep every other `up` and `down` of this home out; the lock dies with the process.

        Raises `StackError` when another has it, unless told to *wait*.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                lock.seek(0)
                raise StackError(
                    f"{self.path} is being started or stopped by another swarmscope"
                    f" (pid {lock.read().strip() or 'unknown'})"
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
