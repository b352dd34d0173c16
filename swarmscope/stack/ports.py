"""The stack's ports, and checks before a start that they are free."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections.abc import Iterable
from typing import NamedTuple

import psutil

from swarmscope.stack.errors import StackError

MAX_PORT = 65535
QUIET_RANGE = (16000, 32000)  # below those that Linux gives to outgoing connections


class Port(NamedTuple):
    """A port: its default, the service that listens there, as what, and its key in [ports]."""

    default: int
    service: str  # of SERVICES
    what: str
    key: str | None = None


PORTS = {  # by setting
    "API_PORT": Port(5000, "app", "the app"),
    "API_METRICS_PORT": Port(9102, "app", "the app's metrics"),
    "LOCUST_WEB_PORT": Port(8089, "locust", "the Locust UI", "locust"),
    "LOCUST_MASTER_BIND_PORT": Port(
        5557, "locust", "Locust's master, for its workers", "locust-master"
    ),
    "GRAFANA_PORT": Port(3000, "grafana", "Grafana", "grafana"),
    "LOCUST_METRICS_PORT": Port(9646, "locust", "Locust's metrics", "locust-metrics"),
    "PROMETHEUS_PORT": Port(9090, "prometheus", "Prometheus", "prometheus"),
    "POSTGRES_PORT": Port(54329, "postgres", "PostgreSQL", "postgres"),
}


class ListeningPort(NamedTuple):
    """A port that the stack will listen on: what for, and the setting that moves it."""

    port: int
    service: str  # of SERVICES
    what: str
    setting: str


def free_ports(count: int) -> list[int]:
    """Return ports that nothing uses now and no outgoing connection will be given meanwhile."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(*QUIET_RANGE)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)


def check_ports(listeners: Iterable[ListeningPort]) -> None:
    """Raise `StackError` with every port that is not available."""
    complaints = [line for listener in listeners if (line := _complaint(listener))]
    if complaints:
        raise StackError("\n".join(complaints))


def _complaint(listener: ListeningPort) -> str | None:
    port = listener.port
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT does not matter
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            trouble = f"is taken{_holder(port)}"
        else:
            trouble = f"is not available ({error.strerror})"
        return (
            f"port {port}, needed by {listener.what}, {trouble}; choose another with"
            f" {listener.setting}=PORT"
        )
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
