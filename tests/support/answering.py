"""A server that answers Prometheus's questions with what a test makes of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@contextmanager
def answering(answer: Callable[[dict[str, str], Any], bytes]) -> Iterator[str]:
    """Run a server that answers each POST with what *answer* makes of its form."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = answer({name: values[0] for name, values in form.items()}, self.headers)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://someone:pass%20word@127.0.0.1:{server.server_port}/base/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lines(*series: tuple[str, list[tuple[float, str]]]) -> bytes:
    """Return Prometheus's answer with a line of values, each with its Unix time, for each job."""
    result = [{"metric": {"job": job}, "values": values} for job, values in series]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


def moment(*labels: dict[str, str], value: str = "1") -> bytes:
    """Return Prometheus's answer about one moment: *value* for each of *labels*."""
    result = [{"metric": each, "value": [0, value]} for each in labels]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()
