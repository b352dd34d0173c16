"""Configures, starts and queries supervisord, and ends what it left behind.

It is started in a separate session, so that Ctrl-C reaches only `up` and services are stopped in
order. All its descendants have `MARK` in their environment, with a value unique to this start. What
a crash left is found by that mark: a process id may have been reused, a start time moves with the
clock, and a name proves nothing.
"""

from __future__ import annotations

import math
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.postgres import write_private
from swarmscope.stack.services import Service

MARK = "SWARMSCOPE_STARTED_BY"
SOCKET_PATH_LIMIT = (
    90  # of 104 bytes on macOS, 108 on Linux: supervisord appends its pid temporarily
)
LOG_BYTES = "10MB"
RETRIES = 20
PATIENCE_S = 5.0
POLL_S = 0.05


def socket_path(home: Home, mark: str) -> Path:
    """Return supervisord's socket: in the home or, if that path is too long, in /tmp."""
    path = home / "supervisord.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.gettempdir()) / f"swarmscope-{mark}" / "supervisord.sock"


def write_configuration(home: Home, socket: Path, services: Iterable[Service]) -> Path:
    """Write supervisord's configuration; the last of *services* is stopped first."""
    sections = {
        "supervisord": {
            "nodaemon": "true",
            "logfile": "%(here)s/logs/supervisord.log",
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": "1",
            "pidfile": "%(here)s/supervisord.pid",
            "childlogdir": "%(here)s/logs",
            "umask": "077",
        },
        "unix_http_server": {"file": _in_configuration(socket, home), "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    if not os.geteuid():
        sections["supervisord"]["user"] = "root"
    for priority, service in enumerate(services):
        sections[f"program:{service.name}"] = _program(service, priority)
    text = "\n".join(f"[{name}]\n{_lines(values)}" for name, values in sections.items())
    path = home / "supervisord.conf"
    write_private(path, text)
    return path


def _in_configuration(path: Path, home: Home) -> str:
    """Return *path* for supervisord, which could take a part of the home's for a comment."""
    if path.is_relative_to(home.path):
        return f"%(here)s/{path.relative_to(home.path)}"
    return str(path).replace("%", "%%")


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _program(service: Service, priority: int) -> dict[str, str]:
    values = {
        "command": _command(service),
        "priority": str(priority),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": str(RETRIES),
        "stopsignal": service.stop_signal,
        "stopwaitsecs": str(math.ceil(service.stop_s)),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"%(here)s/logs/{service.name}.log",
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": "1",
    }
    if service.secrets:  # generated: only letters, digits, - and _
        values["environment"] = ",".join(f'{name}="{v}"' for name, v in service.secrets.items())
    return values


def _command(service: Service) -> str:
    """Return the command line, with the environment set by env(1), as supervisord cannot quote it.

    A path may contain anything. `%` would be an expansion, and ` ;` or ` #` a comment; both are
    inside single quotes here, which can be closed and reopened between the two characters.
    """
    assignments = [f"{name}={value}" for name, value in service.environment.items()]
    hidden = [word for name in service.hidden for word in ("-u", name)]
    words = ["/usr/bin/env", *hidden, *assignments, *service.command]
    if service.directory:
        words = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(service.directory), *words]
    command = shlex.join(words)
    return command.replace("%", "%%").replace(" ;", " '';").replace(" #", " ''#")


def start_supervisor(
    configuration: Path, directory: Path, environment: Mapping[str, str], mark: str
) -> subprocess.Popen[bytes]:
    """Start supervisord in *directory*; its output before its log is open goes to a file."""
    inherited = {k: v for k, v in environment.items() if not k.startswith("SUPERVISOR_")}
    with (configuration.parent / "logs/supervisord.out").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            cwd=directory,
            env=inherited
            | {MARK: mark, "PYTHONUNBUFFERED": "1", "SWARMSCOPE_HOME": str(configuration.parent)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@dataclass(frozen=True)
class ServiceState:
    """supervisord's state of a service. *pid* is 0 while it is not running."""

    name: str
    state: str  # supervisord's: RUNNING, STARTING, BACKOFF, FATAL, EXITED, STOPPED, STOPPING
    pid: int
    since: int  # Unix time, s


class _Transport(SupervisorTransport):  # type: ignore[misc]  # supervisor is untyped
    """Raises OSError for each answer that is missing or cut off; *supervisor*'s does for some."""

    def request(self, *call: Any, **options: Any) -> Any:
        try:
            return super().request(*call, **options)
        except (HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ConnectionError(f"supervisord does not answer: {error!r}") from error


class Supervisor:
    """A running supervisord, called over its socket; each call raises OSError without an answer."""

    def __init__(self, socket: Path) -> None:
        transport = _Transport(None, None, f"unix://{socket}")
        self._remote = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def states(self) -> dict[str, ServiceState]:
        """Return the state of each service by name; raises OSError if it is stopping, too."""
        try:
            rows = self._remote.supervisor.getAllProcessInfo()
        except xmlrpc.client.Fault as fault:  # it is stopping
            raise ConnectionError(fault.faultString) from fault
        assert isinstance(rows, list)
        return {
            row["name"]: ServiceState(row["name"], row["statename"], row["pid"], row["start"])
            for row in rows
        }

    def start(self, service: str) -> None:
        """Start a service without waiting for it."""
        try:
            self._remote.supervisor.startProcess(service, False)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"{service} cannot be started: {fault.faultString}") from fault

    def shut_down(self) -> None:
        """Request an ordered shutdown; returns at once."""
        self._remote.supervisor.shutdown()


def marked(mark: str) -> list[psutil.Process]:
    """Return all live processes of the start with this *mark*."""
    return [process for process in psutil.process_iter() if has_mark(process, mark)]


def has_mark(process: psutil.Process, mark: str) -> bool:
    """Return whether a live *process* belongs to the start with this *mark*."""
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # ended, or another user's
        return False


def end_marked(mark: str, database: int | None, patience_s: float = PATIENCE_S) -> int:
    """End the processes that are left of a start by SIGINT, then SIGKILL; return their number.

    The process *database* ends last, so that samples can still be stored. SIGINT ends each service
    quickly and cleanly, and is the only signal that ends PostgreSQL while clients are connected.
    Children are left to their parents, as long as those live.
    """
    count = len(marked(mark))
    for keep in (database, None):
        left = _without(marked(mark), keep)
        pids = {process.pid for process in left}
        _signal([process for process in left if _parent(process) not in pids], signal.SIGINT)
        _await_end(mark, keep, patience_s)
        _signal(_without(marked(mark), keep), signal.SIGKILL)
        _await_end(mark, keep, PATIENCE_S)  # a killed process holds its ports for a moment
    return count


def _without(processes: Iterable[psutil.Process], pid: int | None) -> list[psutil.Process]:
    return [process for process in processes if process.pid != pid]


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def _await_end(mark: str, keep: int | None, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _without(marked(mark), keep) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
