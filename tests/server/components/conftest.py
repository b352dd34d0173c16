"""Hooks of libraries that end with the test, and a service to be called."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from swarmscope.server.components.measuring import HOOKS


@pytest.fixture(autouse=True)
def _unhooked() -> Iterator[None]:
    """Have the libraries that an app would have imported; leave each as it was."""
    import httpx  # noqa: F401  # not at the top: collected where it is not installed, too

    yield
    HOOKS.undo()


@dataclass
class Called:
    """A service that notes the headers of each request, with names in lower case."""

    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    failures: int = 0  # how many requests get a 503 before one succeeds

    @property
    def host(self) -> str:
        """Its name and port."""
        return urlsplit(self.url).netloc


@contextlib.contextmanager
def calling() -> Iterator[Called]:
    """Run a service: ``/?ms=N`` sleeps, ``&then=PATH`` redirects, ``&body_ms`` streams."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            service.headers.append({name.lower(): text for name, text in self.headers.items()})
            asked = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            time.sleep(float(asked.get("ms", 0)) / 1000)
            if service.failures:
                service.failures -= 1
                self.send_response(503)
            elif "then" in asked:
                self.send_response(302)
                self.send_header("Location", asked["then"])
            else:
                self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            with contextlib.suppress(OSError):  # a client that did not wait
                self.wfile.write(b"o")
                self.wfile.flush()
                time.sleep(float(asked.get("body_ms", 0)) / 1000)
                self.wfile.write(b"k")

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Called(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield service
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def called() -> Iterator[Called]:
    """A service for one test."""
    with calling() as service:
        yield service


@pytest.fixture(scope="module")
def called_by_all() -> Iterator[Called]:
    """A service for the tests of a module."""
    with calling() as service:
        yield service
