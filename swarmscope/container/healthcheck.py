"""Checks whether a container is ready, for Compose and Kubernetes: the slim image has no curl.

``python -m swarmscope.container.healthcheck CHECK`` runs beside the process that it checks, as in
``http:5000/health/ready`` or ``connected:5557`` (see `swarmscope.readiness`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from swarmscope.readiness import answers, parse

TIMEOUT_S = 4
ESTABLISHED = "01"  # proc_net_tcp(5)


def connected(port: int, table: Iterable[str]) -> bool:
    """Return whether *table*, lines of ``/proc/net/tcp``, has a connection to a remote *port*."""
    rows = (line.split() for line in table)
    return any(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


def is_ready(check: str) -> bool:
    """Return whether the container passes *check*; raises OSError where nothing answers."""
    kind, port, path = parse(check)
    if kind == "connected":
        return connected(port, Path("/proc/net/tcp").read_text().splitlines())
    return answers(port, path, TIMEOUT_S)


def main(check: str) -> int:
    """Return the exit status that Docker expects: 0 healthy, 1 not."""
    try:
        return 0 if is_ready(check) else 1
    except OSError as error:
        sys.stdout.write(f"{check}: {error}\n")  # shown by `docker inspect`
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
