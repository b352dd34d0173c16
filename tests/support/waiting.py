"""The one way in which tests wait."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

from swarmscope.stack.ports import free_ports

T = TypeVar("T")
SELDOM_S = 0.2  # how often a long wait looks: most looks cost two processes some milliseconds


def poll_until(check: Callable[[], T], what: str, seconds: float = 20, every: float = 0.05) -> T:
    """Return *check*'s first true result; fail the test with *what* after *seconds*.

    It looks again after *every* seconds, and the longer it waits the less often.
    """
    deadline = time.monotonic() + seconds
    while True:
        if result := check():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)
        every = max(every, min(every * 1.1, SELDOM_S))


def free_port() -> int:
    """Return a TCP port that nothing uses now, and no outgoing connection of another test will."""
    return free_ports(1)[0]


def port_answers(port: int) -> bool:
    """Tell whether something accepts TCP connections on *port* of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
