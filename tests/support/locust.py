"""Real Locust processes with the runs database of a test, and what they stored."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from support.databases import libpq_environment
from support.forks import Forked, can_fork, fork
from support.locust_ui import LocustUi
from support.processes import clean_environment
from support.waiting import free_port, poll_until, port_answers

LOCUST = Path(sys.executable).parent / "locust"
SCENARIO = """
from locust import constant, task
{imports}

class Visitor(FastHttpUser):
    wait_time = constant({wait})

    @task
    def visit(self):
        self.client.get("{path}")
"""
IMPORTS = {
    "ours": "from swarmscope.client import FastHttpUser",
    "stock": "from locust import FastHttpUser\nimport locust_plugins",
}


def scenario(
    directory: Path, path: str = "/fast", wait: float = 0.05, listener: str = "ours", more: str = ""
) -> Path:
    """Write a locustfile whose users visit *path*; *more* is appended."""
    file = directory / "scenario.py"
    file.write_text(SCENARIO.format(imports=IMPORTS[listener], wait=wait, path=path) + more)
    return file


@dataclass
class Locust(LocustUi):
    """One Locust process and, with it, its process group."""

    process: subprocess.Popen[bytes] | Forked
    log: Path
    web_port: int | None = None

    @property
    def url(self) -> str:
        """The UI's address."""
        return f"http://127.0.0.1:{self.web_port}"

    def end(self, signal_number: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Send a signal to this process and wait until it has ended."""
        self.process.send_signal(signal_number)
        return self.process.wait(seconds)

    def text(self) -> str:
        """Return the log."""
        return self.log.read_text()


@dataclass
class Field:
    """Where a test's Locust processes run: directory, target and database."""

    directory: Path
    host: str
    database: str
    master_port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str | Path] = (LOCUST,)
    forks: bool = True  # or starts each process from nothing
    started: list[Locust] = field(default_factory=list)
    _connection: psycopg.Connection[Any] | None = None

    @property
    def journals(self) -> Path:
        """The journal directory that all of them share."""
        return self.directory / "journals"

    def run(self, *arguments: object, **environment: str) -> Locust:
        """Start ``locust ARGUMENTS``."""
        log = self.directory / f"locust-{len(self.started)}.log"
        options = ["--host", self.host, "--timescale", *arguments]
        command = [str(word) for word in (*self.program, *options)]
        settings = {"LOCUST_JOURNAL_DIR": str(self.journals), **libpq_environment(self.database)}
        complete = clean_environment(**{**settings, **self.environment, **environment})
        start = fork if self.forks and can_fork(complete) else _start
        locust = Locust(start(command, self.directory, complete, log), log)
        self.started.append(locust)
        return locust

    def headless(self, file: Path, *arguments: object, **environment: str) -> Locust:
        """Start a swarm without a UI."""
        return self.run("-f", file, "--headless", *arguments, **environment)

    def with_ui(self, file: Path, *arguments: object, **environment: str) -> Locust:
        """Start Locust with its UI, and wait until that answers."""
        port = free_port()
        web = ("--web-host", "127.0.0.1", "--web-port", port)
        locust = self.run("-f", file, *web, *arguments, **environment)
        locust.web_port = port
        poll_until(lambda: self._answers(locust), "the Locust UI")
        return locust

    def master(self, file: Path, workers: int, *arguments: object, **environment: str) -> Locust:
        """Start a master with a UI and *workers* workers, and wait until all are ready."""
        bind = ("--master-bind-host", "127.0.0.1", "--master-bind-port", self.master_port)
        master = self.with_ui(file, "--master", *bind, *arguments, **environment)
        for _ in range(workers):
            self.worker(file)
        poll_until(lambda: len(master.state()["workers"]) == workers, f"{workers} workers")
        return master

    def worker(self, file: Path, *arguments: object, **environment: str) -> Locust:
        """Start a worker."""
        master = ("--master-host", "127.0.0.1", "--master-port", self.master_port)
        return self.run("-f", file, "--worker", *master, *arguments, **environment)

    @staticmethod
    def _answers(locust: Locust) -> bool:
        assert locust.process.poll() is None, locust.text()
        return port_answers(locust.web_port or 0)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, on a connection that is kept: tests ask again and again."""
        if not self._connection or self._connection.closed:
            self._connection = psycopg.connect(self.database, autocommit=True)
        try:
            return self._connection.execute(statement, parameters or None).fetchall()
        except psycopg.OperationalError:
            if not self._connection.closed:
                raise
            return self.query(statement, *parameters)  # the test had ended it

    def value(self, statement: str, *parameters: object) -> Any:
        """Return the only value of a query."""
        ((value,),) = self.query(statement, *parameters)
        return value

    def waiting(self) -> list[Path]:
        """Return the journal files that are still there."""
        return sorted(self.journals.glob("*.journal"))

    def shippers(self) -> list[int]:
        """Return the pids of the shippers at work in the journal directory."""
        found = []
        for directory in Path("/proc").iterdir():
            if directory.name.isdecimal():
                with contextlib.suppress(OSError):
                    command = set((directory / "cmdline").read_bytes().split(b"\0"))
                    if {b"swarmscope.shipper", str(self.journals).encode()} <= command:
                        found.append(int(directory.name))
        return found

    def clean_up(self) -> None:
        """Leave no process behind, and no connection."""
        if self._connection:
            self._connection.close()
        for locust in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(locust.process.pid, signal.SIGKILL)
            locust.process.wait()
        for pid in self.shippers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _start(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@contextlib.contextmanager
def locust_field(directory: Path, host: str, database: str) -> Iterator[Field]:
    """Yield a `Field`; afterwards none of its processes lives."""
    place = Field(directory, host, database)
    try:
        yield place
    finally:
        place.clean_up()


def faketime(offset: str) -> dict[str, str]:
    """Return the environment in which a process's wall clock is off by *offset* (``+10m``)."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert library, "libfaketime is not installed"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # files' times are off, too: others would compile again
    }
