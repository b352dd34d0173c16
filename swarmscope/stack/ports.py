"""Checks before a start that the stack's ports are free."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping

import psutil

from swarmscope.stack.errors import StackError
from swarmscope.stack.settings import PORTS


def check_ports(ports: Mapping[str, int], wanted: Iterable[str]) -> None:
    """Raise `StackError` with every port of the settings *wanted* that is not available."""
    complaints = [line for name in wanted if (line := _complaint(name, ports[name]))]
    if complaints:
        raise StackError("\n".join(complaints))


def _complaint(setting: str, port: int) -> str | None:
    _, who = PORTS[setting]
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT does not matter
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            trouble = f"is taken{_holder(port)}"
        else:
            trouble = f"is not available ({error.strerror})"
        return f"port {port}, needed by {who}, {trouble}; choose another with {setting}=PORT"
    return None


def _holder(port: int) -> str:
    """Return " by NAME (pid N)" if the system reveals it; other users' processes stay unknown."""
    try:
        connections = [c for c in psutil.net_connections("tcp") if c.laddr[1:] == (port,)]
    except psutil.AccessDenied:  # macOS reveals it to root only
        return ""
    connections.sort(key=lambda connection: connection.status != psutil.CONN_LISTEN)
    return next((_name(connection.pid) for connection in connections if connection.pid), "")


def _name(pid: int) -> str:
    try:
        return f" by {psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f" by pid {pid}"
