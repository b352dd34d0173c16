"""The one way in which tests wait."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def poll_until(check: Callable[[], T], what: str, seconds: float = 20, every: float = 0.05) -> T:
    """Return *check*'s first true result; fail the test with *what* after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        if result := check():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


def free_port() -> int:
    """Return a TCP port that nothing on loopback listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def port_answers(port: int) -> bool:
    """Tell whether something accepts TCP connections on *port* of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
