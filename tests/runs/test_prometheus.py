"""A Prometheus that is not there, or not one: said in a line, soon, and without its password."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from support.waiting import free_port

from swarmscope.runs import assembly, prometheus
from swarmscope.runs.prometheus import MOST_JOBS, MOST_POINTS, NAMES, Unavailable

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(seconds=60)


@contextmanager
def answering(answer) -> Iterator[str]:
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
    result = [{"metric": {"job": job}, "values": values} for job, values in series]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


def test_values_come_to_their_moments():
    """A rate stands in the middle of its window; gaps and not-a-number stay unknown."""
    seen: list[tuple[float, float, float, str]] = []

    def answer(form, headers) -> bytes:
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        seen.append((start, end, step, headers["Authorization"]))
        return lines(("api", [(start, "1.5"), (start + 2 * step, "NaN"), (end, "3")]))

    with answering(answer) as url:
        capture = prometheus.read(url, START, END)

    assert {name for _, name in capture.series} == set(NAMES)
    for values in capture.series.values():
        assert (len(values), values[0], values[1:-1], values[-1]) == (31, 1.5, [None] * 29, 3)
    begun = START.timestamp()
    shifted, exact = (begun + 5, begun + 65, 2), (begun, begun + 60, 2)
    assert [ask[:3] for ask in seen] == [shifted] * 6 + [exact] * 4
    assert {ask[3] for ask in seen} == {"Basic c29tZW9uZTpwYXNzIHdvcmQ="}


def test_what_is_kept_is_bounded():
    """A month's run has no more points than a minute's, and services have a limit."""

    def answer(form, headers) -> bytes:
        at = float(form["start"])
        return lines(*((f"job{number:03}", [(at, "1")]) for number in range(50)))

    with answering(answer) as url:
        capture = prometheus.read(url, START, START + timedelta(days=30))

    assert len({job for job, _ in capture.series}) == MOST_JOBS
    (points,) = {len(values) for values in capture.series.values()}
    assert MOST_POINTS * 0.9 < points <= MOST_POINTS


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": {"result": [1]}}', b"\xff"])
def test_something_else_answers(body):
    """What is no answer of Prometheus's is one line."""
    refused = pytest.raises(Unavailable, match="does not answer")
    with answering(lambda form, headers: body) as url, refused as refusal:
        prometheus.read(url, START, END)

    assert "word" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_nobody_is_there():
    """A closed port is one line too, and leaves the services out of a document."""
    url = f"http://someone:password@127.0.0.1:{free_port()}"

    with pytest.raises(Unavailable, match=r"at 127\.0\.0\.1:\d+ does not answer") as refusal:
        prometheus.read(url, START, END)

    assert "password" not in str(refusal.value)
    services = assembly.ask_prometheus(url)
    assert services(START, END) is None


def test_one_that_hangs_is_not_waited_for(monkeypatch):
    """Of ten questions the first that gets no answer is the last."""
    monkeypatch.setattr(prometheus, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            prometheus.read(f"http://127.0.0.1:{server.getsockname()[1]}", START, END)

    assert time.monotonic() - began < 5 * prometheus.TIMEOUT_S


@pytest.mark.parametrize("url", ["file:///etc/passwd", "prometheus:9090", "http://", "http://[x"])
def test_an_address_that_is_none(url):
    """Only the web is asked."""
    with pytest.raises(Unavailable, match="http:// or https:// URL"):
        prometheus.read(url, START, END)


def test_where_it_is(tmp_path):
    """What is given goes before the environment, and that before the home's own."""
    home = {"SWARMSCOPE_HOME": str(tmp_path)}
    assert prometheus.locate(environ=home) is None
    (tmp_path / "prometheus.url").write_text("http://home\n")

    assert prometheus.locate(environ=home) == "http://home"
    told = {**home, "PROMETHEUS_URL": "http://told"}
    assert prometheus.locate(environ=told) == "http://told"
    assert prometheus.locate("http://given", told) == "http://given"
