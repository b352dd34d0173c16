"""Tells Compose whether a container does its work: the slim Python image has no curl.

``python -m swarmscope.container.healthcheck http:PORT/PATH`` asks a server in the same container;
``… connected:PORT`` is for a Locust worker, which serves nothing: it is at work when it holds a
connection with its master's *PORT*. It runs every few seconds beside a load test, so it speaks HTTP
by hand: importing an HTTP client would cost more CPU than all the rest.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from pathlib import Path

TIMEOUT_S = 4
ESTABLISHED = "01"  # proc_net_tcp(5)


def answers(port: int, path: str) -> bool:
    """Tell whether GET */path* on *port* is answered 200; raises OSError where nothing listens."""
    request = f"GET /{path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request.encode())
        status_line = connection.makefile("rb").readline().split()
    return status_line[1:2] == [b"200"]


def connected(port: int, table: Iterable[str]) -> bool:
    """Tell whether *table*, the lines of ``/proc/net/tcp``, has a connection to a remote *port*."""
    rows = (line.split() for line in table)
    return any(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


def healthy(target: str) -> bool:
    """Judge *target* as the module says; raises OSError where nothing answers."""
    kind, _, rest = target.partition(":")
    port, _, path = rest.partition("/")
    if kind == "connected":
        return connected(int(port), Path("/proc/net/tcp").read_text().splitlines())
    return answers(int(port), path)


def main(target: str) -> int:
    """Return the exit status that Docker expects: 0 healthy, 1 not."""
    try:
        return 0 if healthy(target) else 1
    except OSError as error:
        sys.stdout.write(f"{target}: {error}\n")  # `docker inspect` shows it
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
