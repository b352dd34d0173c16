"""A server that knows its own service times, and stalls on schedule if asked to.

python -m benchmarks._known_server PORT

Each request is answered after a time drawn from a log-normal distribution (median 10 ms, 95th
percentile 27 ms). ``GET /reset?stall=1`` forgets what was measured; with *stall* it answers nothing
in the sixth second of every ten since the first request after that. ``GET /truth`` returns the
measured times, from a request's arrival to its answer, in ms.
"""

from __future__ import annotations

import heapq
import json
import random
import select
import socket
import sys
from array import array
from time import perf_counter
from urllib.parse import parse_qs, urlsplit

MEDIAN_S, SIGMA = 0.010, 0.6
PERIOD_S, STALL_AFTER_S, STALL_S = 10.0, 5.0, 1.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
DRAWN = 4096  # service times, used in turn


def stall_left_s(elapsed_s: float) -> float:
    """Return how long what arrives *elapsed_s* after the first request waits for a stall's end."""
    into = elapsed_s % PERIOD_S - STALL_AFTER_S
    return STALL_S - into if 0 <= into < STALL_S else 0.0


def service_times() -> list[float]:
    """Return the service times that requests get in turn, in seconds."""
    dice = random.Random(21)
    return [MEDIAN_S * dice.lognormvariate(0, SIGMA) for _ in range(DRAWN)]


class KnownServer:
    """One loop that reads requests, and answers each when it is due."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.connections: dict[int, socket.socket] = {}
        self.waiting: list[tuple[float, int, float]] = []  # due, connection, arrived
        self.services = service_times()
        self.reset(stalls=False)

    def reset(self, stalls: bool) -> None:
        """Forget what was measured."""
        self.took_ms = array("d")
        self.stalls, self.began, self.number = stalls, 0.0, 0

    def run(self) -> None:
        """Serve until killed."""
        while True:
            left = self.waiting[0][0] - perf_counter() if self.waiting else -1
            for ready, _ in self.poll.poll(max(left, 0) if self.waiting else -1):
                if ready == self.listener.fileno():
                    self._accept()
                else:
                    self._read(ready)
            self._answer()

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections[connection.fileno()] = connection
        self.poll.register(connection, select.EPOLLIN)

    def _read(self, ready: int) -> None:
        """Take a request; each is in one packet, because clients wait for its answer."""
        try:
            request = self.connections[ready].recv(4096)
        except ConnectionError:
            request = b""
        if not request:
            self.poll.unregister(ready)
            self.connections.pop(ready).close()
        elif request.startswith((b"GET /reset", b"GET /truth")):
            self._control(self.connections[ready], request.split(None, 2)[1].decode())
        else:
            self._take(ready, perf_counter())

    def _take(self, ready: int, now: float) -> None:
        self.began = self.began or now
        due = now + self.services[self.number % DRAWN]
        self.number += 1
        if self.stalls and (left := stall_left_s(now - self.began)):
            due = max(due, now + left)
        heapq.heappush(self.waiting, (due, ready, now))

    def _answer(self) -> None:
        while self.waiting and self.waiting[0][0] <= perf_counter():
            _, ready, arrived = heapq.heappop(self.waiting)
            if connection := self.connections.get(ready):
                connection.send(ANSWER)
                self.took_ms.append((perf_counter() - arrived) * 1000)

    def _control(self, connection: socket.socket, target: str) -> None:
        body = b"{}"
        if target.startswith("/truth"):
            body = json.dumps(list(self.took_ms)).encode()
        else:
            self.reset("stall" in parse_qs(urlsplit(target).query))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body)


if __name__ == "__main__":
    KnownServer(int(sys.argv[1])).run()
