"""What the load generators of `benchmarks.peers` send to."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from benchmarks._gunicorn import ROOT
from benchmarks._ports import free_port

START_S = 20.0


def known_server() -> AbstractContextManager[str]:
    """Run the server that knows its own service times until the block ends; yields its URL."""
    port = free_port()
    return _serving([sys.executable, "-m", "benchmarks._known_server", str(port)], port)


@contextmanager
def _serving(command: list[str], port: int) -> Iterator[str]:
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + START_S
        while not _accepts(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def get(url: str) -> bytes:
    """Return what *url* answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())
