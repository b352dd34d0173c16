"""A small instrumented app, and what its metrics say."""

from __future__ import annotations

import time
from pathlib import Path

from flask import Flask, abort

from support.scraping import Samples, parse
from swarmscope.server.exposition import Exposition

DURATION = "flask_http_request_duration_seconds"
TOTAL = "flask_http_request_total"
EXCEPTIONS = "flask_http_request_exceptions_total"
QUEUE = "flask_http_request_queue_seconds"
IN_FLIGHT = "flask_http_requests_in_flight"


def add_routes(app: Flask) -> None:
    """Add a route with a parameter, and one that raises LookupError."""

    @app.route("/items/<int:number>")
    def item(number: int) -> dict[str, int]:
        if number == 404:
            abort(404)
        return {"number": number}

    @app.route("/boom")
    def boom() -> str:
        raise LookupError("nothing here")


def samples(app: Flask) -> Samples:
    """Return the metrics that *app* exposes."""
    return parse(app.test_client().get("/metrics").text)


def exposed(directory: Path) -> Samples:
    """Return the metrics in the slots' files of *directory*."""
    return parse(Exposition(directory).render().decode())


def count(found: Samples, **labels: str) -> float:
    """Return the number of requests with these labels."""
    return found.value(f"{DURATION}_count", **labels)


def sent(seconds_ago: float) -> dict[str, str]:
    """Return the header of a request that was sent that long ago."""
    return {"X-Request-Start": f"t={time.time() - seconds_ago:.6f}"}
