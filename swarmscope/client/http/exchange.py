"""One request and its answer on a connection of geventhttpclient's pool, with few system calls."""

from __future__ import annotations

import errno
from typing import Any

from gevent import GreenletExit, getcurrent
from gevent.socket import socket as Socket
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import (
    HTTPConnectionClosed,
    HTTPParseError,
    HTTPSocketPoolResponse,
)

from swarmscope.client.http.answers import Replay, read_head

RECEIVE = 65_536  # bytes at once
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


def exchange(client: HTTPClient, method: str, text: bytes) -> Any:
    """Send *text*, the bytes of a request, and return (`Answer`, its bytes).

    Or a response of geventhttpclient whose headers have been read, if the answer is not a plain
    one; raises what geventhttpclient's client does.
    """
    pool = client._connection_pool
    attempts = pool.size + 1
    while True:
        sock = pool.get_socket()
        try:
            _send(sock, text)
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                pool.release_socket(sock)
                raise
            try:
                return received_by_geventhttpclient(client, method, Replay(b"", None, sock, pool))
            except (OSError, HTTPParseError):
                if attempts > 0 and method in _IDEMPOTENT:
                    attempts -= 1
                    continue
                raise
        except BaseException:
            pool.release_socket(sock)
            raise
        try:
            return _receive(client, method, sock)
        except HTTPConnectionClosed:
            if attempts > 0 and method in _IDEMPOTENT:
                attempts -= 1
                continue
            raise


def _send(sock: Any, text: bytes) -> None:
    if type(sock) is Socket:
        try:
            sent = sock._sock.send(text)
        except BlockingIOError:
            sent = 0
        if sent == len(text):
            return
        text = text[sent:]
    sock.sendall(text)


def _receive(client: HTTPClient, method: str, sock: Any) -> Any:
    pool: Any = client._connection_pool
    try:
        data = _read(sock)
    except OSError as error:
        if error.errno == errno.ECONNRESET:
            pool.release_socket(sock)
            raise HTTPConnectionClosed("connection closed.") from None
        pool.release_socket(sock)
        raise
    except BaseException:
        pool.release_socket(sock)
        raise
    answer = read_head(data) if method != "HEAD" else None
    if answer is None:
        return received_by_geventhttpclient(client, method, Replay(data, None, sock, pool))
    end = answer.end
    if len(data) != end:
        if len(data) > end:
            return received_by_geventhttpclient(client, method, Replay(data, None, sock, pool))
        data, failure = _read_rest(sock, data, end, pool)
        if failure is not None or len(data) != end:
            return received_by_geventhttpclient(client, method, Replay(data, failure, sock, pool))
    if answer.keeps:
        pool.return_socket(sock)
    else:
        pool.release_socket(sock)
    return answer, data


def _read(sock: Any) -> Any:
    """Wait until *sock* has something, and return it."""
    watcher, me, timeout = sock._read_event, getcurrent(), sock.timeout
    hub = sock.hub
    timer = None
    if timeout is not None:
        timer = hub.loop.timer(timeout)
        timer.start(me.throw, TimeoutError, "timed out")
    try:
        watcher.start(me.switch)
        hub.switch()
    finally:
        watcher.stop()
        if timer is not None:
            timer.stop()
            timer.close()
    if type(sock) is Socket:
        try:
            return sock._sock.recv(RECEIVE)
        except BlockingIOError:
            pass
    return sock.recv(RECEIVE)


def _read_rest(sock: Any, data: bytes, end: int, pool: Any) -> tuple[bytes, BaseException | None]:
    """Return *data* and what follows up to *end*, and the error that came before it."""
    parts, length = [data], len(data)
    try:
        while length < end:
            part = sock.recv(RECEIVE)
            if not part:
                break
            parts.append(part)
            length += len(part)
    except GreenletExit:
        pool.release_socket(sock)
        raise
    except BaseException as error:  # raised again when the body is read
        return b"".join(parts), error
    return b"".join(parts), None


def received_by_geventhttpclient(client: HTTPClient, method: str, replay: Replay) -> Any:
    """Return an answer as geventhttpclient reads it from *replay*; raise as it does."""
    connection: Any = replay
    return HTTPSocketPoolResponse(
        connection,
        connection,
        block_size=client.block_size,
        method=method,
        headers_type=client.headers_type,
    )
