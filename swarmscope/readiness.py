"""What "ready" means for a service, however it is started: natively, by Compose or by Kubernetes.

A check is one line:

- ``http:PORT/PATH``: GET gets a status from 200 to 399, as for the ``httpGet`` of Kubernetes;
- ``answer:PORT/PATH``: GET gets any status at all;
- ``connected:PORT``: the process is connected to that port of another, as a Locust worker, which
  serves nothing, is to its master's;
- ``lasts:SECONDS``: the process, which serves nothing, has lived for so long;
- ``postgres:PORT``: PostgreSQL accepts sessions, as ``pg_isready`` defines it.
"""

from __future__ import annotations

import socket
from typing import NamedTuple


class Check(NamedTuple):
    """A check taken apart; *port* may be seconds, *path* is without its first slash."""

    kind: str
    port: int
    path: str


def parse(check: str) -> Check:
    """Take a check apart: ``http:5000/health/ready`` is ("http", 5000, "health/ready")."""
    kind, _, rest = check.partition(":")
    port, _, path = rest.partition("/")
    return Check(kind, int(port), path)


def answers(port: int, path: str, timeout_s: float) -> bool:
    """Return whether GET */path* on *port* of this machine gets a status from 200 to 399."""
    return 200 <= status_of(port, path, timeout_s) < 400


def status_of(port: int, path: str, timeout_s: float) -> int:
    """Return the status that GET */path* on *port* of this machine gets, 0 if it is not HTTP.

    Raises OSError where nothing answers. It speaks HTTP by hand: it may run every few seconds, in a
    process of its own, beside a load test, and an HTTP client's import would cost the most of that.
    """
    request = f"GET /{path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(request.encode())
        with connection.makefile("rb") as response:
            version, _, rest = response.readline(100).partition(b" ")
    status = rest[:3]
    return int(status) if version.startswith(b"HTTP/") and status.isdigit() else 0
