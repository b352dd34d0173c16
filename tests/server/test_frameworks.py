"""Flask-RESTful, RESTX, Flask-Sock, Flask-SocketIO and asgiref themselves, in a real gunicorn."""

from __future__ import annotations

import subprocess

import pytest
from support.environments import programs_of
from support.timed_client import get
from support.waiting import poll_until

TOTAL = "flask_http_request_total"
COUNT = "flask_http_request_duration_seconds_count"
EXCEPTIONS = "flask_http_request_exceptions_total"
IN_FLIGHT = "flask_http_requests_in_flight"

APP = """
import flask_restful, flask_restx
from flask import Flask, Response, abort
from flask_sock import Sock
from flask_socketio import SocketIO
from swarmscope.server import instrument

def create_app(socketio=False, mode=None):
    app = Flask("frameworks")
    if socketio:
        SocketIO(app, async_mode=mode, cors_allowed_origins="*")
        instrument(app)
        return app
    instrument(app)
    for name, module in (("restful", flask_restful), ("restx", flask_restx)):
        api = module.Api(app, prefix=f"/{name}")

        def get(self, number, module=module):
            if number == 2:
                module.abort(404)
            if number == 3:
                raise LookupError("a bug")
            return {}

        resource = type(f"Thing_{name}", (module.Resource,), {"get": get})
        api.add_resource(resource, "/t/<int:number>")
    sock = Sock(app)

    @sock.route("/ws")
    def echo(ws):
        while True:
            ws.send(ws.receive())

    @app.get("/stream")
    def stream():
        return Response(chunk for chunk in (b"a", b"b"))

    return app
"""
TALK = """
import sys, time, websocket
path, text, answers = sys.argv[2], sys.argv[3], int(sys.argv[4])
socket = websocket.create_connection(f"ws://127.0.0.1:{sys.argv[1]}{path}", timeout=20)
if text:
    socket.send(text)
for _ in range(answers):
    socket.recv()
time.sleep(0.5)
socket.close()
"""
ASGI = """
import asyncio
from asgiref.wsgi import WsgiToAsgi
from frameworks import create_app

app = create_app()

async def ask():
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(_):
        pass
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
             "path": "/stream", "raw_path": b"/stream", "query_string": b"", "root_path": "",
             "scheme": "http", "headers": [(b"host", b"x")], "client": ("127.0.0.1", 1),
             "server": ("127.0.0.1", 80)}
    await WsgiToAsgi(app)(scope, receive, send)

for _ in range(5):
    asyncio.run(ask())
text = app.test_client().get("/metrics").text
print(next(line for line in text.splitlines() if line.startswith("flask_http_requests_in_flight")))
"""


@pytest.fixture(scope="module")
def frameworks(tmp_path_factory):
    """Return the programs of an environment with all of them."""
    return programs_of(
        tmp_path_factory.mktemp("frameworks") / "environment", "3.11", "gunicorn", "gevent",
        "packaging", "flask-restful", "flask-restx", "flask-sock", "flask-socketio",
        "simple-websocket", "asgiref", "websocket-client", "setuptools<81",
    )  # fmt: skip


@pytest.fixture
def serve_app(serve, tmp_path, frameworks):
    """Return what serves one of the apps with options of gunicorn's."""
    (tmp_path / "frameworks.py").write_text(APP)

    def serve_(app, *options):
        path = ("--pythonpath", str(tmp_path))
        return serve("-w", "1", *options, *path, app=f"frameworks:{app}", programs=frameworks)

    return serve_


def talk(frameworks, port, path, text="", answers=1):
    """Open a websocket, say *text*, hear *answers*, and close it half a second later."""
    command = [str(frameworks / "python"), "-c", TALK, str(port), path, text, str(answers)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_what_rest_frameworks_answer(serve_app):
    """Their 404 and 405 are answers; a bug is a 500 and an exception."""
    with serve_app("create_app()") as service:
        for name in ("restful", "restx"):
            answers = [get(service.port, f"/{name}/t/{number}").status for number in (1, 2, 3)]
            assert answers == [200, 404, 500]

        found = service.scrape()
        assert found.value(EXCEPTIONS, method="GET", status="500") == found.total(EXCEPTIONS) == 2
        assert found.total(COUNT, status="404") == found.total(COUNT, status="500") == 2
        assert found.total(TOTAL) == 6


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", [("-k", "gthread", "--threads", "8"), ("-k", "gevent")])
@pytest.mark.parametrize("kind", ["sock", "socketio"])
def test_websockets(serve_app, frameworks, kind, options):
    """Each is a 101 when it has ended, whoever speaks it, in both kinds of workers."""
    mode = "gevent" if "gevent" in options else "threading"
    app = "create_app()" if kind == "sock" else f"create_app(True, '{mode}')"
    path = "/ws" if kind == "sock" else "/socket.io/?EIO=4&transport=websocket"
    with serve_app(app, *options) as service:
        for _ in range(3):
            talk(frameworks, service.port, path, "hello" if kind == "sock" else "")

        poll_until(lambda: service.scrape().total(TOTAL) == 3, "the websockets to have ended")
        found = service.scrape()
        assert found.value(TOTAL, method="GET", status="101") == 3
        assert found.total(COUNT) == found.total(EXCEPTIONS) == found.value(IN_FLIGHT) == 0


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_asgiref_closes_nothing(tmp_path, frameworks):
    """It reads a body to its end: nothing is in flight afterwards."""
    (tmp_path / "frameworks.py").write_text(APP)
    (tmp_path / "asgi.py").write_text(ASGI)
    done = subprocess.run(
        [str(frameworks / "python"), str(tmp_path / "asgi.py")],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["flask_http_requests_in_flight", "0.0"]
