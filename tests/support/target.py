"""A small HTTP server that swarms are let loose on: it counts what it answers.

``GET /slow/MS…`` answers after MS milliseconds, ``/status/CODE…`` with that status, ``/count/PATH``
with the number of requests to PATH answered (of all without a path), everything else at once.
Answers carry Server-Timing.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from support.processes import clean_environment, running
from support.waiting import free_port, poll_until, port_answers


@dataclass(frozen=True)
class Target:
    """A running target."""

    port: int

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def answered(self, path: str = "") -> int:
        """Return how many requests it has answered, to *path* or altogether."""
        with urllib.request.urlopen(f"{self.url}/count{path}", timeout=10) as answer:
            return int(answer.read())


@contextlib.contextmanager
def running_target(directory: Path) -> Iterator[Target]:
    """Run a target until the block ends."""
    port = free_port()
    command = [sys.executable, __file__, str(port)]
    environment = clean_environment(PYTHONPATH=str(Path(__file__).resolve().parents[1]))
    with running(command, directory / "target.log", environment, directory):
        poll_until(lambda: port_answers(port), "the target")
        yield Target(port)


class _Connection(asyncio.Protocol):
    answered: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        path = head.split(b" ", 2)[1].decode("latin-1").partition("?")[0]
        kind, _, argument = path[1:].partition("/")
        delay = float(argument.partition("/")[0]) / 1000 if kind == "slow" else 0
        asyncio.get_running_loop().call_later(delay, self._answer, kind, argument)

    def _answer(self, kind: str, argument: str) -> None:
        if kind == "count":
            count = self.answered[argument] if argument else self.answered.total()
        else:
            self.answered[f"{kind}/{argument}"] += 1
            count = 0
        body = str(count).encode()
        status = argument[:3] if kind == "status" else "200"
        self.transport.write(
            b"HTTP/1.1 %s OK\r\nServer-Timing: queue;dur=0.010, app;dur=0.020\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)
        )


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
