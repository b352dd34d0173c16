"""Checks whether a service that the launcher started is ready (see `swarmscope.readiness`)."""

from __future__ import annotations

import subprocess
import time

import psutil

from swarmscope.readiness import answers, parse, status_of
from swarmscope.stack.postgres import binary

TIMEOUT_S = 1.0


def is_ready(check: str, pid: int) -> bool:
    """Return whether the service with this process id passes its *check* now."""
    kind, port, path = parse(check)
    if kind == "connected":
        return _is_connected(pid, port)
    if kind == "lasts":
        return _lasts(pid, port)
    if kind == "postgres":
        return _accepts_sessions(port)
    try:
        if kind == "answer":
            return status_of(port, path, TIMEOUT_S) > 0
        return answers(port, path, TIMEOUT_S)
    except OSError:
        return False


def _lasts(pid: int, seconds: int) -> bool:
    try:
        return time.time() - psutil.Process(pid).create_time() >= seconds
    except psutil.Error:
        return False


def _accepts_sessions(port: int) -> bool:
    command = [str(binary("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
    return subprocess.run(command, check=False).returncode == 0


def _is_connected(pid: int, port: int) -> bool:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port == port
        for connection in connections
    )
