"""Processes that start in a tenth of the time: forked from one that has imported their modules."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from support import beside_locust
from support.processes import clean_environment

AT_START = ("LD_", "PYTHON")  # variables that matter only to a process that starts from nothing
LOCUST = (
    "locust.main",
    "msgspec",
    "prometheus_client",
    # of swarmscope what only defines things: whether `client` is there depends on the scenario
    "swarmscope.redaction",
    "swarmscope.runs.document",
    "swarmscope.runs.prometheus",
)


class Forked:
    """A process of `fork`, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, source: _Source, pid: int) -> None:
        self._source = source
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""
        if self.returncode is None:
            self.returncode = self._source.ask(wait=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, once there is one; *timeout* is in seconds."""
        if self.poll() is None:
            with open(os.pidfd_open(self.pid), "rb", buffering=0) as process:
                ended, _, _ = select.select([process], [], [], timeout)
            if not ended:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class _Source:
    """The process that forks."""

    def __init__(self, modules: Sequence[str]) -> None:
        program = Path(__file__).with_name("to_fork.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(program), *modules],  # beside it is a locust.py
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._lock = threading.Lock()

    def ask(self, **request: object) -> int | None:
        """Send a request and return its answer."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
            answer: int | None = json.loads(self._process.stdout.readline())
        return answer


_source = cache(_Source)  # of some modules, in each process of pytest: its pipe's end ends it


def can_fork(environment: Mapping[str, str]) -> bool:
    """Return whether a process of this environment may begin as a copy of another's."""
    return all(
        environment.get(name) == os.environ.get(name)
        for name in environment.keys() | os.environ.keys()
        if name.startswith(AT_START) and name != "PYTHONPATH"
    )


def fork(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
    modules: Sequence[str] = LOCUST,
) -> Forked:
    """Start *command*, ``SCRIPT ARGUMENTS`` or ``python [-P] -m MODULE ARGUMENTS``.

    It runs in a session of its own, and has imported *modules*; what it prints is appended to
    *log*.
    """
    if "-m" in command:
        at = command.index("-m") + 1
        program, first, arguments = command[at], command[at], command[at + 1 :]
        path = [] if "-P" in command[:at] else [str(directory)]
    else:
        program, first, arguments = command[0], command[0], command[1:]
        path = [str(Path(first).parent)]
    path += filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    log.touch()  # who reads it need not wait for the process to begin
    source = _source(modules)
    pid = source.ask(
        program=program,
        path=path,
        arguments=[first, *arguments],
        directory=str(directory),
        environment=dict(environment),
        log=str(log),
        python=beside_locust.python() if modules == LOCUST else sys.executable,
    )
    assert pid
    return Forked(source, pid)
