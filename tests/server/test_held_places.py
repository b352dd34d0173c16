"""How long requests hold a place: in real workers, by what their own clocks say."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from support.timed_client import get, get_all
from support.waiting import poll_until

HELD = "flask_http_request_held_seconds_total"
DURATION = "flask_http_request_duration_seconds_sum"
BODY = "flask_http_response_body_seconds_sum"
SLEEP, STREAM = "/sleep/<int:ms>", "/stream/<int:ms>"
CLASSES = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "2"),
    "gevent": ("-k", "gevent"),
}
OWN = "def post_request(worker, req):\n    worker.log.info('mine: %s', req.path)\n"


@pytest.mark.parametrize("worker_class", CLASSES)
def test_a_place_is_held_until_the_body_is_sent(serve, worker_class):
    """Also a stream's; and gunicorn calls a hook of the conf file as before."""
    with serve("-w", "1", *CLASSES[worker_class], conf=OWN) as service:
        get_all(service.port, ["/sleep/50", "/stream/50", "/missing"] * 4, clients=2)
        get(service.port, "/pid")  # the worker has let go of the ones before
        found = service.scrape()
        log = service.log()

    assert found.value(DURATION, url_rule=SLEEP, method="GET", status="200") >= 0.2
    for rule in (SLEEP, STREAM, "unmatched"):
        handled = found.total(DURATION, url_rule=rule) + found.total(BODY, url_rule=rule)
        held = found.value(HELD, url_rule=rule)
        assert handled <= held <= 2 * handled + 0.5
    assert log.count("mine: /stream/50") == 4


def test_a_client_that_is_slow_to_close_holds_a_sync_worker(serve):
    """Nobody else gets it, although the app has long returned."""
    with (
        serve("-w", "1", "-k", "sync") as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        client.sendall(b"GET /sleep/50 HTTP/1.1\r\nHost: here\r\n\r\n")
        while client.recv(4096):
            pass
        time.sleep(0.3)
        client.close()
        get(service.port, "/pid")
        found = service.scrape()

    assert found.value(HELD, url_rule=SLEEP) >= 0.3 + 0.05


@pytest.mark.parametrize(
    ("worker_class", "path"),
    [("sync", "/sleep/3000"), ("gthread", "/stream/3000"), ("gevent", "/sleep/3000")],
)
def test_a_long_request_is_counted_while_it_runs(serve, worker_class, path):
    """Once each second, and nothing twice at its end."""
    rule = SLEEP if "sleep" in path else STREAM
    with serve("-w", "1", *CLASSES[worker_class]) as service:
        get(service.port, "/pid")
        long = threading.Thread(target=get, args=(service.port, path))
        long.start()
        poll_until(lambda: service.scrape().value(HELD, url_rule=rule) >= 1, "a first second")
        in_flight = service.scrape().value("flask_http_requests_in_flight")
        long.join()
        found = service.scrape()

    assert in_flight == 1
    handled = found.total(DURATION, url_rule=rule) + found.total(BODY, url_rule=rule)
    assert handled <= found.value(HELD, url_rule=rule) <= handled + 1


def test_a_child_of_a_worker_holds_no_place(serve):
    """It has a copy of its parent's requests."""
    with serve("-w", "1") as service:
        get_all(service.port, ["/job"] * 3, clients=1)
        found = service.scrape()

    assert found.value(HELD, url_rule="/job") > 0
    assert found.value("jobs_total") == 3
