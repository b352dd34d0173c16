"""Targets for a Prometheus to scrape: as many as are wanted, each like an instrumented API.

python -m benchmarks._metrics_targets PORT

``GET /metrics?target=N`` answers with series that change from scrape to scrape.
"""

from __future__ import annotations

import asyncio
import sys
import time

from swarmscope.server.metrics import BUCKETS

ROUTES = 10
STATUSES = ("200", "404")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n"


def exposition() -> bytes:
    """Return the histograms of ten routes with two statuses each; all counts grow."""
    count = int(time.time() * 100)
    name = "flask_http_request_duration_seconds"
    lines = [f"# TYPE {name} histogram"]
    for route in range(ROUTES):
        for status in STATUSES:
            labels = f'method="GET",status="{status}",url_rule="/route/{route}"'
            lines += [f'{name}_bucket{{{labels},le="{edge}"}} {count}' for edge in BUCKETS]
            lines += [f'{name}_bucket{{{labels},le="+Inf"}} {count}']
            lines += [f"{name}_count{{{labels}}} {count}", f"{name}_sum{{{labels}}} {count / 100}"]
    return "\n".join((*lines, "")).encode()


class Connection(asyncio.Protocol):
    """Answers each request alike."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        body = exposition()
        self._transport.write(HEAD % len(body) + body)


async def serve(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
