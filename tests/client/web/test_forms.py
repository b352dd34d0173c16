"""Bad input to Locust's UI: it is answered 4xx, changes nothing, and leaves no traceback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
import requests
from support.databases import fresh_runs_database
from support.locust import Locust, locust_field, scenario

MORE = """
from locust import events

@events.init_command_line_parser.add_listener
def add_arguments(parser):
    parser.add_argument("--baskets", type=int, default=3)
    parser.add_argument("--sizes", type=int, action="append", default=[1])
    parser.add_argument("--pause", type=float, default=0.5)
"""
START = "user_count=1&spawn_rate=1"
CHUNKED = "Transfer-Encoding: chunked"
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def picking(cluster, target, tmp_path_factory) -> Iterator[Locust]:
    """Run Locust with its UI, the class picker and a scenario's own arguments."""
    directory = tmp_path_factory.mktemp("picking")
    with (
        fresh_runs_database(cluster) as database,
        locust_field(directory, target.url, database) as field,
    ):
        yield field.with_ui(scenario(directory, more=MORE), "--class-picker")


def status(locust: Locust, head: str, *headers: str, body: bytes = b"") -> int:
    """Send a request byte by byte as given, close our half, and return the status of the answer."""
    lines = (f"{head} HTTP/1.1", f"Host: 127.0.0.1:{locust.web_port}", *headers, "", "")
    with socket.create_connection(("127.0.0.1", locust.web_port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline().split()
    return int(answer[1])


@pytest.fixture
def unharmed(picking: Locust) -> Iterator[Locust]:
    """Give Locust; afterwards nothing has started, and its log has got no traceback."""
    before = len(picking.text())
    yield picking
    assert picking.state()["state"] == "ready"
    assert "Traceback" not in picking.text()[before:]
    assert "resulted in a 500" not in picking.text()[before:]


@pytest.mark.parametrize(
    "form",
    [
        f"{START}&baskets=many",
        f"{START}&sizes=1,two",
        f"{START}&pause=",
        f"{START}&baskets={'9' * 5000}",
        f"{START}&shape_class=NoSuchShape",
        f"{START}&user_classes=NoSuchUser",
        f"{START}&run_time={'9' * 400}",
        "user_count=100000000000&spawn_rate=1",
    ],
    ids=lambda form: form[:60],
)
def test_a_bad_value_is_the_senders_fault(unharmed: Locust, form):
    """None of the values is taken, and the answer says which one is bad."""
    answer = requests.post(
        f"{unharmed.url}/swarm", data=form, headers=dict([FORM.split(": ")]), timeout=10
    )
    assert 400 <= answer.status_code < 500
    assert answer.json()["message"].startswith("Refused: ")


@pytest.mark.parametrize("path", ["/swarm", "/user"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((FORM, CHUNKED), b"zz\r\nuser_count=1\r\n0\r\n\r\n"),
        ((FORM, CHUNKED), b"-1\r\n\r\n"),
        ((FORM, CHUNKED), b"5\r\nuser"),
        ((FORM, "Transfer-Encoding: gzip, chunked"), b"5\r\nabcde\r\n0\r\n\r\n"),
        ((FORM, "Content-Length: many"), b""),
        ((FORM, "Content-Length: -5"), b""),
        ((FORM, "Content-Length: 100"), b"user_count=1"),
        ((FORM, f"Content-Length: {2 << 20}"), b"user_count=1"),
    ],
    ids=str,
)
def test_a_broken_body_is_the_senders_fault(unharmed: Locust, path, headers, body):
    """A bad chunk size, a length that lies or is none, more than a form may be long."""
    assert 400 <= status(unharmed, f"POST {path}", *headers, body=body) < 500


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        json.dumps({"tasks": ["visit"]}).encode(),
        json.dumps({"user_class_name": "NoSuchUser"}).encode(),
        json.dumps({"user_class_name": ["Visitor"]}).encode(),
        json.dumps({"user_class_name": "Visitor", "tasks": 3}).encode(),
        json.dumps({"user_class_name": "Visitor", "tasks": [3]}).encode(),
        json.dumps({"user_class_name": "Visitor", "weight": "heavy"}).encode(),
        json.dumps({"user_class_name": "Visitor", "__init__": 1}).encode(),
        json.dumps({"user_class_name": "Visitor", "wait_time": 1}).encode(),
    ],
    ids=lambda sent: repr(sent[:60]),
)
def test_a_bad_user_class_is_the_senders_fault(unharmed: Locust, sent):
    """What reaches every worker's user classes is checked before it does."""
    answer = requests.post(f"{unharmed.url}/user", data=sent, timeout=10)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "/both-ends/run/%00.json",
        "/both-ends/run/%ff.json",
        "/both-ends/run/'%20OR%201=1.json",
        f"/both-ends/run/{'9' * 3000}.json",
        "/assets/%00",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/stats/requests_full_history/csv",
        "/no-such-page?%ff=%00",
    ],
)
def test_a_bad_address_is_the_senders_fault(unharmed: Locust, address):
    """Paths and queries that name nothing."""
    assert 400 <= status(unharmed, f"GET {address}", "Connection: close") < 500


def test_a_good_user_class_is_taken(unharmed: Locust):
    """What the class picker sends passes."""
    sent = {
        "user_class_name": "Visitor",
        "host": "",
        "tasks": ["visit"],
        "fixed_count": 0,
        "weight": 2,
    }
    assert requests.post(f"{unharmed.url}/user", json=sent, timeout=10).status_code == 201
