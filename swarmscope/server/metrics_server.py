"""A small HTTP server for ``/metrics``, and profiles, that a forking process can run in a thread.

It holds a lock except while it waits, and forks wait for that lock, so that a child never inherits
an inconsistent state. Connections are few, have a deadline, and never block each other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

CONNECTIONS = 64
REQUEST_BYTES = 8192
DEADLINE_S = 10.0
POLL_S = 0.1  # while a response is not there yet

log = logging.getLogger(__name__)


class Pending(Protocol):
    """A response that is not there yet."""

    def poll(self) -> bytes | None:
        """Return the response once it is there."""

    def cancel(self) -> None:
        """Note that nobody waits for it any more."""


Other = Callable[[bytes, str], bytes | Pending | None]  # head of a request, peer: see MetricsServer


class Connection:
    """A client's connection: what it sent so far, and what is still to be sent to it."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.received = b""
        self.to_send = memoryview(b"")
        self.pending: Pending | None = None
        self.deadline = time.monotonic() + DEADLINE_S

    def complete(self) -> bool:
        """Return whether all of a request's head has arrived, or more than is allowed."""
        return b"\r\n\r\n" in self.received or len(self.received) > REQUEST_BYTES


class MetricsServer:
    """Serves what *render* returns, under ``/metrics``, until the process ends.

    *other* gets the requests for other paths, and returns None for one that there is not.
    """

    def __init__(
        self,
        host: str,
        port: int,
        render: Callable[[], bytes],
        content_type: str,
        other: Other | None = None,
    ) -> None:
        """Listen on *host* and *port* (0: any); raises OSError if that fails."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._render, self._content_type, self._other = render, content_type, other
        self._connections: dict[socket.socket, Connection] = {}
        self._selector = selectors.PollSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._turn, self._busy = threading.Lock(), threading.Lock()
        self._body: bytes | None = None
        self._closed = False
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork,
            after_in_child=self._after_fork_in_child,
        )
        threading.Thread(target=self._run, name="metrics-server", daemon=True).start()

    def close(self) -> None:
        """Stop serving and free the port."""
        with self._turn, self._busy:
            self._closed = True
            self._listener.shutdown(socket.SHUT_RDWR)  # or the thread's poll() keeps it open
            self._close_sockets()

    def _close_sockets(self) -> None:
        for client in [*self._connections, self._listener]:
            client.close()
        self._connections.clear()

    def _before_fork(self) -> None:
        self._turn.acquire()  # the next turn, however busy scrapers keep the thread
        self._busy.acquire()

    def _after_fork(self) -> None:
        self._busy.release()
        self._turn.release()

    def _after_fork_in_child(self) -> None:
        self._closed = True  # a fork copies no thread, but gevent's greenlet in its place
        self._close_sockets()
        self._after_fork()

    def _run(self) -> None:
        while not self._closed:
            waiting = any(connection.pending for connection in self._connections.values())
            ready = self._selector.select(timeout=POLL_S if waiting else 1.0)
            with self._turn:
                self._busy.acquire()
            try:
                if not self._closed:
                    self._serve([key.fileobj for key, _ in ready])
            finally:
                self._busy.release()

    def _serve(self, ready: list[object]) -> None:
        self._body = None  # all who have asked by now get the same response
        for connection in [self._connections[s] for s in ready if s in self._connections]:
            try:
                self._advance(connection)
            except BlockingIOError:
                continue
            except OSError:  # reset by the client
                self._drop(connection)
        if self._listener in ready:
            self._accept()
        for connection in list(self._connections.values()):
            if connection.pending is not None:
                self._poll(connection, connection.pending)
            elif time.monotonic() > connection.deadline:
                self._drop(connection)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # closed before it was accepted
            return
        client.setblocking(False)
        if len(self._connections) == CONNECTIONS:
            self._drop(next(iter(self._connections.values())))  # the oldest
        self._connections[client] = Connection(client)
        self._selector.register(client, selectors.EVENT_READ)

    def _advance(self, connection: Connection) -> None:
        if connection.to_send:
            return self._send(connection)
        chunk = connection.client.recv(REQUEST_BYTES)
        if not chunk:
            return self._drop(connection)
        if connection.pending is not None:  # what else it may say
            return None
        connection.received += chunk
        if not connection.complete():
            return None
        peer = connection.client.getpeername()[0]
        answer = self._answer(connection.received, peer)
        if not isinstance(answer, bytes):
            connection.pending = answer
            return None
        return self._begin_to_send(connection, answer)

    def _poll(self, connection: Connection, pending: Pending) -> None:
        try:
            answer = pending.poll()
        except Exception:
            log.exception("cannot take a profile")
            answer = response("500 Internal Server Error", b"")
        if answer is not None:
            connection.pending, connection.deadline = None, time.monotonic() + DEADLINE_S
            with contextlib.suppress(BlockingIOError):
                try:
                    self._begin_to_send(connection, answer)
                except BrokenPipeError:
                    self._drop(connection)

    def _begin_to_send(self, connection: Connection, answer: bytes) -> None:
        connection.to_send = memoryview(answer)
        self._selector.modify(connection.client, selectors.EVENT_WRITE)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        connection.to_send = connection.to_send[connection.client.send(connection.to_send) :]
        if not connection.to_send:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection.pending is not None:
            connection.pending.cancel()
        self._selector.unregister(connection.client)
        del self._connections[connection.client]
        connection.client.close()

    def _answer(self, request: bytes, peer: str) -> bytes | Pending:
        words = request.decode("latin-1").partition("\r\n")[0].split(" ")
        if len(words) != 3 or len(request) > REQUEST_BYTES:
            return response("400 Bad Request", b"")
        method, target, _ = words
        if target.partition("?")[0] != "/metrics":
            answer = None if self._other is None else self._other(request, peer)
            return answer or response("404 Not Found", b"only /metrics is served here\n")
        if method not in ("GET", "HEAD"):
            return response("405 Method Not Allowed", b"", allow="GET, HEAD")
        try:
            body = self._body = self._body or self._render()
        except Exception:  # the next scrape is served all the same
            log.exception("cannot read the metrics")
            return response("500 Internal Server Error", b"")
        return response("200 OK", body, self._content_type, head_only=method == "HEAD")


def response(
    status: str,
    body: bytes,
    content_type: str = "text/plain",
    allow: str = "",
    authenticate: str = "",
    head_only: bool = False,
) -> bytes:
    """Return a whole HTTP response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    head += f"Allow: {allow}\r\n" * bool(allow)
    head += f"WWW-Authenticate: {authenticate}\r\n" * bool(authenticate)
    head += "Connection: close\r\n\r\n"
    return head.encode() + (b"" if head_only else body)
