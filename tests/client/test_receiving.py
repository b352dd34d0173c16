"""The time from a response's first byte to its last is told apart from the way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from flask import Flask, Response
from locust.env import Environment
from support.locust import Field, scenario
from support.scraping import parse
from werkzeug.serving import make_server

from swarmscope.client.workload import users
from swarmscope.server import instrument

USERS = [users.FastHttpUser, users.HttpUser]
BODY_MS = 300


@pytest.fixture(params=[True, False], ids=["instrumented", "by URL alone"])
def service(request) -> Iterator[SimpleNamespace]:
    """Run a service that streams: its handler takes no time, its body does."""
    app = Flask("service")

    @app.get("/export")
    def export() -> Response:
        def rows() -> Iterator[bytes]:
            yield b"first"
            time.sleep(BODY_MS / 1000)
            yield b"last"

        return Response(rows())

    @app.get("/fast")
    def fast() -> str:
        return "ok"

    if request.param:
        instrument(app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield SimpleNamespace(app=app, url=url, instrumented=request.param)
    server.shutdown()


@pytest.mark.parametrize("base", USERS)
def test_the_first_byte_is_told_apart_from_the_last(service, base):
    """The stream's body is all that comes after it; a short answer has next to nothing."""
    environment = Environment()
    reported: list[dict] = []
    environment.events.request.add_listener(lambda **fields: reported.append(fields))
    user = type("Visitor", (base,), {"host": service.url})(environment)
    user.client.get("/export")
    user.client.get("/fast")
    with user.client.get("/export", catch_response=True) as response:
        response.failure("not what was expected")

    receiving = [one["response_time"] - one["response"].first_byte_ms for one in reported]
    assert receiving[0] >= BODY_MS / 2  # a busy machine notes the first byte late
    assert 0 <= receiving[1] < BODY_MS
    assert receiving[2] >= BODY_MS / 2


def test_a_stream_is_recorded_as_receiving(service, field: Field, tmp_path):
    """Rows and histograms have the part, and nothing of it is outside."""
    locust = field.headless(
        scenario(tmp_path, path="/export"), "-u", 1, "-t", "3s", "-H", service.url
    )
    assert locust.process.wait(60) == 0, locust.text()

    ((least, requests),) = field.query("SELECT min(receiving_ms), count(*) FROM request")
    assert least >= BODY_MS / 2  # headers are read late where the machine is busy
    assert requests >= 3
    parts = dict(
        field.query(
            "SELECT part, (sum(sum_ms) / sum(count))::float8 FROM histogram"
            " WHERE resolution = 60 AND name = '' GROUP BY part"
        )
    )
    assert parts["receiving"] >= BODY_MS / 2
    assert ("outside" in parts) == service.instrumented
    assert parts.get("outside", 0) < parts["response"] - parts["receiving"]


@pytest.mark.parametrize("service", [True], indirect=True)
def test_the_service_says_how_long_its_bodies_took(service):
    """Only of streams: what leaves with its headers has no body of its own."""
    client = service.app.test_client()
    client.get("/export").get_data()
    client.get("/fast").get_data()

    found = parse(client.get("/metrics").text)
    body = "flask_http_response_body_seconds"
    assert found.value(f"{body}_count", url_rule="/export") == 1
    assert found.value(f"{body}_sum", url_rule="/export") >= BODY_MS / 1000
    assert found.total(f"{body}_count") == 1
