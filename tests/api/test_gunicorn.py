"""The API as users run it: gunicorn with its conf file, real sockets, real processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support.gunicorn import Gunicorn, end, running_gunicorn, start_gunicorn
from support.waiting import free_port, poll_until

from api.storage import Storage

API = ("-c", "api/gunicorn.conf.py", "api:create_app()")
UNIT = {"name": "unit testing", "description": "testing individual units of source code"}
LOAD = {"name": "load testing", "description": "testing a system under load"}
WORKER_CLASSES = ("sync", "gthread", "gevent")


@contextlib.contextmanager
def api(tmp_path: Path, database_url: str | None = None, **settings: object) -> Iterator[Gunicorn]:
    """Run the API with *settings* (``workers=2``) on a new SQLite file unless told otherwise."""
    environment = {f"API_{name.upper()}": str(value) for name, value in settings.items()}
    environment.setdefault("API_METRICS_PORT", str(free_port()))
    environment["API_DATABASE_URL"] = database_url or f"sqlite:///{tmp_path}/api.sqlite3"
    with running_gunicorn(*API, log=tmp_path / "log", environment=environment) as server:
        yield server


def curl(*arguments: str) -> str:
    """Return what real curl prints."""
    done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def worker_pids(server: Gunicorn) -> set[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return {int(pid) for pid in children.read_text().split()}


@pytest.fixture(scope="module", params=WORKER_CLASSES)
def server(request, tmp_path_factory) -> Iterator[Gunicorn]:
    """Run the API with one worker of a class, on an SQLite file that only one test writes to."""
    with api(tmp_path_factory.mktemp("api"), workers=1, worker_class=request.param) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_classic_flow(server):
    """GET shows unit testing, POST answers 204, GET shows both in that order."""
    address = f"{server.url}/tests"
    assert json.loads(curl(address)) == [UNIT]

    answer = curl(
        *("-i", "-X", "POST", "-H", "Content-Type: application/json"),
        *("-d", json.dumps(LOAD), address),
    )
    assert answer.splitlines()[0].upper() == "HTTP/1.1 204 NO CONTENT"

    assert json.loads(curl(address)) == [UNIT, LOAD]


def test_four_workers_share_an_empty_database(tmp_path, database_url):
    """They start at once and none dies; what one has stored, the next answer of any shows."""
    with api(tmp_path, database_url, workers=4) as server:
        poll_until(lambda: len(worker_pids(server)) == 4, "four workers")
        pids = worker_pids(server)
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(get, [f"{server.url}/tests"] * 16)
            assert [answer.json() for answer in answers] == [[UNIT]] * 16

        for number in range(8):
            assert post(server, f"test {number}").status_code == 204
            assert get(f"{server.url}/tests").json()[-1]["name"] == f"test {number}"

        with ThreadPoolExecutor(8) as pool:  # each name twice, in any worker, at once
            answers = pool.map(lambda number: post(server, f"new {number // 2}"), range(40))
            assert [answer.status_code for answer in answers] == [204] * 40
        assert get(f"{server.url}/tests").headers["X-Total-Count"] == "29"

        assert worker_pids(server) == pids
        assert "rror" not in server.log.read_text()


def get(url: str) -> requests.Response:
    """Ask on a connection of its own, so that any worker may answer."""
    return requests.get(url, timeout=20)


def post(server: Gunicorn, name: str) -> requests.Response:
    row = {"name": name, "description": f"about {name}"}
    return requests.post(f"{server.url}/tests", json=row, timeout=20)


def test_waiting_for_the_database_stops_nobody_else(tmp_path, empty_database, as_url):
    """The driver waits in gevent's loop: it must be imported after gevent has patched sockets."""
    with (
        api(tmp_path, as_url(empty_database), workers=1, worker_class="gevent") as server,
        psycopg.connect(empty_database) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert post(server, "load testing").status_code == 204
        other.execute("UPDATE tests SET description = 'held'")
        waiting = pool.submit(post, server, "load testing")
        poll_until(lambda: someone_waits_for_a_lock(empty_database), "the request to wait")

        assert len(get(f"{server.url}/tests").json()) == 2
        assert not waiting.done()
        other.rollback()
        assert waiting.result().status_code == 204


def someone_waits_for_a_lock(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return connection.execute(query).fetchone() is not None


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_connection_is_kept_and_its_last_request_answered(tmp_path, worker_class):
    """A user who thinks need not reconnect; a request in flight at SIGTERM is finished."""
    body = json.dumps(LOAD).encode()
    metrics = free_port()
    with api(tmp_path, workers=1, worker_class=worker_class, metrics_port=metrics) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        if worker_class != "sync":  # has no keep-alive
            keeps_its_socket(connection, thinking_seconds=2.5)  # gunicorn's own limit is 2 s
        connection.putrequest("POST", "/tests")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:10])
        poll_until(lambda: sample(metrics, "flask_http_requests_in_flight") == 1, "the request")
        server.process.send_signal(signal.SIGTERM)
        poll_until(lambda: "Handling signal: term" in server.log.read_text(), "the signal")
        connection.send(body[10:])

        assert connection.getresponse().status == 204
        connection.close()
        assert server.process.wait(20) == 0

    storage = Storage(f"sqlite:///{tmp_path}/api.sqlite3")
    assert storage.page(limit=10, after=0).rows[1:] == [(LOAD["name"], LOAD["description"])]


def keeps_its_socket(connection: http.client.HTTPConnection, thinking_seconds: float) -> None:
    connection.connect()
    socket_before = connection.sock
    for _ in range(2):
        connection.request("GET", "/tests")
        assert json.loads(connection.getresponse().read()) == [UNIT]
        assert connection.sock is socket_before
        time.sleep(thinking_seconds)


def sample(metrics_port: int, name: str, **labels: str) -> float | None:
    """Return a sample of the metrics, or None while it is not there."""
    text = get(f"http://127.0.0.1:{metrics_port}/metrics").text
    for family in text_string_to_metric_families(text):
        for candidate in family.samples:
            if candidate.name == name and labels.items() <= candidate.labels.items():
                return candidate.value
    return None


def test_the_ports_are_settings(tmp_path):
    """One for requests, one for metrics; health checks leave no trace in them."""
    port, metrics = free_port(), free_port()
    environment = {
        "SWARMSCOPE_HOME": str(tmp_path),
        "API_PORT": str(port),
        "API_METRICS_PORT": str(metrics),
        "API_WORKERS": "1",
    }
    server = start_gunicorn(*API, log=tmp_path / "log", environment=environment)
    try:
        poll_until(lambda: "Listening at: " in server.log.read_text(), "gunicorn to listen")
        assert server.url == f"http://127.0.0.1:{port}"
        for path in ("/health", "/health/ready", "/tests", "/tests", "/tests?limit=0", "/nothing"):
            get(server.url + path)
        text = get(f"http://127.0.0.1:{metrics}/metrics").text

        count, route = "flask_http_request_duration_seconds_count", {"url_rule": "/tests"}
        assert sample(metrics, count, status="200", **route) == 2
        assert sample(metrics, count, status="422", **route) == 1
        assert sample(metrics, count, status="404") == 1
        assert sample(metrics, "flask_http_request_total", method="GET", status="200") == 2
        assert "health" not in text
        assert get(f"{server.url}/metrics").status_code == 404
        assert (tmp_path / "api" / "api.sqlite3").exists()
        assert not list(tmp_path.glob("**/gunicorn.ctl"))
    finally:
        end(server)


def test_no_connection_starves_another(tmp_path):
    """One that has a thousand requests waiting does not keep the next one from its answer."""
    conf = ("--access-logfile", "-", *API)
    environment = {
        "API_DATABASE_URL": f"sqlite:///{tmp_path}/api.sqlite3",
        "API_METRICS_PORT": str(free_port()),
        "API_WORKERS": "1",
        "API_WORKER_CLASS": "gevent",
    }
    with running_gunicorn(*conf, log=tmp_path / "log", environment=environment) as server:
        one = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        one.request("GET", "/health")
        assert one.getresponse().read()

        with socket.create_connection(("127.0.0.1", server.port)) as greedy:
            greedy.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            assert greedy.recv(1)  # they are being worked on
            one.request("GET", "/health?one")
            assert one.getresponse().read()
            poll_until(lambda: server.log.read_text().count("GET /health ") == 1001, "all answers")
        one.close()

        before, _ = server.log.read_text().split("GET /health?one ")
    assert before.count("GET /health ") < 900


def test_a_body_over_the_limit_is_refused(tmp_path):
    """413 whether its length was announced or not; smaller ones are taken either way."""
    blank = json.dumps(LOAD).encode().ljust(16 * 1024)
    with api(tmp_path, workers=1) as server, requests.Session() as session:
        session.headers["Content-Type"] = "application/json"
        for size, status in ((len(blank), 204), (len(blank) + 1, 413), (1_000_000, 413)):
            body = blank.ljust(size)
            for given in (body, iter([body[:9000], body[9000:]])):
                answer = session.post(f"{server.url}/tests", data=given, timeout=20)
                assert answer.status_code == status, size
            if status == 413:
                assert answer.json()["error"] == "Request Entity Too Large"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("API_WORKERS", "0", "API_WORKERS must be a whole number from 1 to 1000: '0'"),
        ("API_DATABASE_URL", "sqlite:////proc/a/b", "API_DATABASE_URL: cannot make its directory"),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line(tmp_path, name, text, message):
    """No traceback, no process left, status 1."""
    environment = {"SWARMSCOPE_HOME": str(tmp_path), name: text}
    server = start_gunicorn(*API, log=tmp_path / "log", environment=environment)
    try:
        assert server.process.wait(20) == 1
    finally:
        end(server)
    (line,) = server.log.read_text().splitlines()
    assert line.startswith(message)


BROKEN_BODIES = {
    "a chunk size that is none": b"zz\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": b"-1\r\nabc\r\n0\r\n\r\n",
    "no chunk size": b"\r\n\r\n",
    "a chunk longer than it says": b"3\r\nabcdef\r\n0\r\n\r\n",
    "a bad extension": b"3;\x01\r\nabc\r\n0\r\n\r\n",
    "an endless size": b"f" * 20_000,
    "a bad trailer": b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n",
    "an end in the middle": b"5\r\nab",
}


def test_a_broken_body_is_the_clients_fault(server):
    """400 for a body that cannot be read, whatever the server makes of it; and no traceback."""
    rows = get(f"{server.url}/tests").json()  # the worker is there
    for name, body in BROKEN_BODIES.items():
        assert _status(server.port, "Transfer-Encoding: chunked", body) == 400, name
    assert _status(server.port, "Content-Length: 100", b"{}") == 400
    assert get(f"{server.url}/tests").json() == rows
    assert "Traceback" not in server.log.read_text()


def _status(port: int, framing: str, body: bytes) -> int:
    """Return the status of the answer to a POST whose body is framed so; nothing else follows."""
    head = f"POST /tests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        with contextlib.suppress(OSError):  # the server may have answered and hung up by now
            connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])
