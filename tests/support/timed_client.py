"""A client that says when it sends, and takes the latency of each request apart."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Address = int | Path  # a port of loopback, or a Unix socket

COMPONENTS = r"(?:, \w+;dur=[\d.]+(?:;desc=\"\d+\")?)*"
PARTS = re.compile(r"(?:queue;dur=([\d.]+), )?app;dur=([\d.]+)" + COMPONENTS)


@dataclass(frozen=True)
class Answer:
    """A finished request; times in seconds, the service's 0 where it did not say them."""

    status: int
    body: bytes
    total_s: float
    queue_s: float
    app_s: float
    ended_s: float  # on the clock of perf_counter

    @property
    def outside_s(self) -> float:
        """What is neither the service's queue nor its work: the way back, the client's waking."""
        return self.total_s - self.queue_s - self.app_s


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connect(address: Address) -> http.client.HTTPConnection:
    """Return a connection to *address*, not yet open."""
    if isinstance(address, Path):
        return _UnixConnection(address)
    return http.client.HTTPConnection("127.0.0.1", address, timeout=30)


def get(address: Address, path: str, read_after_s: float = 0.0) -> Answer:
    """GET *path* on a new connection; begin to read *read_after_s* after the sending.

    Raises OSError where it is not answered in full.
    """
    connection = connect(address)
    headers = {"X-Request-Start": f"t={time.time():.6f}", "Connection": "close"}
    started = time.perf_counter()
    connection.request("GET", path, headers=headers)
    if read_after_s:
        time.sleep(read_after_s)
    try:
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:  # cut off, which is no OSError as a rule
        raise ConnectionError(f"not answered in full: {error!r}") from error
    ended_s = time.perf_counter()
    connection.close()
    parts = PARTS.fullmatch(response.headers["Server-Timing"] or "")
    queue_ms, service_ms = parts.groups() if parts else (0, 0)
    return Answer(
        response.status,
        body,
        ended_s - started,
        float(queue_ms or 0) / 1e3,
        float(service_ms) / 1e3,
        ended_s,
    )


def get_all(address: Address, paths: Iterable[str], clients: int) -> list[Answer]:
    """GET *paths*, shared out among *clients* threads that each send one after the other."""
    paths, answers, errors = iter(list(paths)), [], []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                path = next(paths, None)
            if path is None:
                return
            try:
                answers.append(get(address, path))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    return answers
