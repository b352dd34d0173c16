"""How the launcher asks a service whether it does its work.

A check is a line that fits into a record: ``http:PORT/PATH`` is answered with a status below 400,
``postgres:PORT`` accepts sessions, ``connected:PORT`` holds a connection to that port, as a worker
does to its master.
"""

from __future__ import annotations

import http.client
import subprocess

import psutil

from swarmscope.stack.postgres import binary

TIMEOUT_S = 1.0


def passes(check: str, pid: int) -> bool:
    """Tell whether the service with this process id passes its *check* now."""
    kind, _, target = check.partition(":")
    port, _, path = target.partition("/")
    if kind == "http":
        return _answers_http(int(port), f"/{path}")
    if kind == "postgres":
        return _accepts_sessions(int(port))
    return _is_connected(pid, int(port))


def _answers_http(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


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
