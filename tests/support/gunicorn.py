"""A real gunicorn on a port of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.forks import Forked, can_fork, fork
from support.waiting import poll_until

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
# not gunicorn.config: it takes the directory in which it is imported for the one to serve
MODULES = ("gunicorn.glogging", "gunicorn.workers.base", "flask", "sqlalchemy")
ANY_PORT = "127.0.0.1:0"  # the kernel picks one, gunicorn logs it: nobody can take it in between


@dataclass(frozen=True)
class Gunicorn:
    """A running arbiter; `log` is the file with all that it and its workers wrote."""

    process: subprocess.Popen[bytes] | Forked
    log: Path

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        listening = re.search(r"Listening at: https?://[^:]+:(\d+)", self.log.read_text())
        assert listening, self.log.read_text()
        return int(listening[1])

    @property
    def url(self) -> str:
        """The service's address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        """Where it serves its metrics, as the log last said; '' until it does."""
        found = re.findall(r"Metrics at: (\S+)", self.log.read_text())
        return found[-1] if found else ""

    def stop(self, seconds: float = 20) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def start_gunicorn(
    *arguments: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path = ROOT,
    programs: Path = PROGRAMS,
) -> Gunicorn:
    """Start ``gunicorn ARGUMENTS`` in *directory*, without waiting for anything.

    None of the caller's ``API_*`` settings reach it, only those in *environment*. *programs* holds
    the gunicorn: this environment's, or another's.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("API_")}
    complete = {**inherited, **(environment or {})}
    command = [str(programs / "gunicorn"), *arguments]
    log.write_bytes(b"")
    is_gevent = "gevent" in {*arguments, *complete.values()}  # patches before anything is imported
    if programs == PROGRAMS and can_fork(complete) and not is_gevent:
        return Gunicorn(fork(command, directory, complete, log, MODULES), log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=complete,
            stdout=output,
            stderr=output,
            start_new_session=True,  # one group, so that no worker can outlive the test
        )
    return Gunicorn(process, log)


@contextlib.contextmanager
def running_gunicorn(
    *arguments: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path = ROOT,
    bind: str = ANY_PORT,
    programs: Path = PROGRAMS,
) -> Iterator[Gunicorn]:
    """Run ``gunicorn --bind BIND ARGUMENTS`` until the block ends; its socket listens by then.

    Requests sent before a worker has booted wait in the kernel's queue, so no test need poll.
    """
    server = start_gunicorn(
        "--bind", bind, *arguments,
        log=log, environment=environment, directory=directory, programs=programs,
    )  # fmt: skip
    try:
        poll_until(lambda: _listens(server), "gunicorn to listen")
        yield server
    finally:
        end(server)


def _listens(server: Gunicorn) -> bool:
    log = server.log.read_text()
    assert server.process.poll() is None, log
    return "Listening at: " in log


def end(server: Gunicorn) -> None:
    """Stop the server if it runs, by force if it must be, with all of its workers."""
    try:
        if server.process.poll() is None:
            server.stop()
    except subprocess.TimeoutExpired:
        pass  # the next line ends it
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
