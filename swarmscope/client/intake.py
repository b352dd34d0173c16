"""Checks what reaches a master's port before Locust reads it: malformed messages are dropped.

Locust's master ends its listener, without a word, at the first frame that it cannot decode and the
first message whose content it did not expect; and what it does take stays in its figures until it
is restarted. Our own parts of reports are checked too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gevent
import zmq.error
from locust.exception import RPCError, StopTest
from locust.rpc import Message, zmqrpc
from locust.runners import MasterRunner

from swarmscope.client import clock
from swarmscope.client.capacity import figures
from swarmscope.client.health import monitor
from swarmscope.client.health.probe import Health
from swarmscope.client.master.messages import READERS, Count, convert
from swarmscope.client.master.rejections import reject
from swarmscope.client.recording import backlog
from swarmscope.client.workload import missed

FRAME = "frame"
UNEXPECTED = "unexpected"
MAX_WORKER_NAME = 200

PARTS: dict[str, tuple[str, Callable[[Any], object]]] = {  # ours, in reports: their kind and reader
    monitor.MESSAGE_KEY: ("health", Health.from_message),
    figures.MESSAGE_KEY: ("measurement", figures.read),
    figures.STARTING_KEY: ("starting", lambda data: convert(data, Count)),
    backlog.REPORT_KEY: ("journal", backlog.read_report),
    missed.MESSAGE_KEY: ("missed", missed.read),
}
OURS: dict[str, Callable[[Any], object]] = {clock.MESSAGE: clock.read_request}


def install() -> None:
    """Make every master of this process reject malformed messages."""
    if hasattr(zmqrpc.Server.recv_from_client, "__wrapped__"):
        return
    server: Any = zmqrpc.Server
    server.recv_from_client = functools.wraps(server.recv_from_client)(_receive)
    master: Any = MasterRunner
    master.handle_message = functools.wraps(master.handle_message)(_guarded(master.handle_message))


def _receive(server: zmqrpc.Server) -> tuple[str, Message]:
    """Return the next well-formed message, and who sent it."""
    while True:
        try:
            parts = server.socket.recv_multipart()
        except zmq.error.ZMQError as error:
            raise RPCError("ZMQ network broken") from error
        if message := read(parts):
            return message.node_id, message
        gevent.sleep(0)  # so that a flood of junk does not starve other greenlets


def read(parts: list[bytes]) -> Message | None:
    """Return the message in *parts*, its sender's identity first; None where it was rejected."""
    sender = parts[0].decode("utf-8", "replace")
    try:
        message = _decoded(parts, sender)
    except Exception as error:  # of msgpack, datetime, or whatever an extension type may raise
        reject(FRAME, sender, f"{type(error).__name__}: {error}")
        return None
    reader = READERS.get(message.type) or OURS.get(message.type)
    try:
        if reader:
            reader(message.data)
    except ValueError as error:
        reject(message.type, sender, str(error))
        return None
    if message.type == "stats":
        _drop_parts(message.data, sender)
    return message


def _decoded(parts: list[bytes], sender: str) -> Message:
    identity, body = parts
    message: Message = Message.unserialize(body)
    if not isinstance(message.type, str) or len(sender) > MAX_WORKER_NAME or not _is_plain(sender):
        raise ValueError("no message type, or an invalid worker name")
    if message.node_id != identity.decode():
        raise ValueError("the message names a different worker than its connection")
    return message


def _is_plain(name: str) -> bool:
    """Return whether Locust may print *name*: control characters command a terminal."""
    return bool(name) and name.isprintable()


def _drop_parts(data: dict[str, Any], sender: str) -> None:
    """Remove our malformed parts from a report; what Locust itself counts is kept."""
    for key, (kind, reader) in PARTS.items():
        try:
            if key in data:
                reader(data[key])
        except ValueError as error:
            reject(kind, sender, str(error))
            del data[key]


def _guarded(stock: Callable[..., None]) -> Callable[..., None]:
    def handle_message(runner: MasterRunner, client_id: str, msg: Message) -> None:
        try:
            stock(runner, client_id, msg)
        except StopTest:  # raised by the scenario on purpose
            raise
        except Exception as error:  # whatever it is, the next message must be handled
            reject(UNEXPECTED, client_id, f"{msg.type}: {type(error).__name__}: {error}")

    return handle_message
