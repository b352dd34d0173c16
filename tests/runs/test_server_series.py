"""A Prometheus that is not there, or not one: said in a line, soon, and without its password."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.answering import answering, lines
from support.waiting import free_port

from swarmscope.runs import assembly, server_series
from swarmscope.runs.server_series import GAUGES, MAX_JOBS, MAX_POINTS, RATES, Unavailable

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(seconds=60)


def test_values_come_to_their_moments():
    """A rate stands in the middle of its window; gaps and not-a-number stay unknown."""
    seen: list[tuple[float, float, float, str]] = []

    def answer(form, headers) -> bytes:
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        seen.append((start, end, step, headers["Authorization"]))
        return lines(("api", [(start, "1.5"), (start + 2 * step, "NaN"), (end, "3")]))

    with answering(answer) as url:
        capture = server_series.read(url, START, END)

    assert {name for _, name in capture.series} == RATES.keys() | GAUGES.keys()
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
        capture = server_series.read(url, START, START + timedelta(days=30))

    assert len({job for job, _ in capture.series}) == MAX_JOBS
    (points,) = {len(values) for values in capture.series.values()}
    assert MAX_POINTS * 0.9 < points <= MAX_POINTS


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": {"result": [1]}}', b"\xff"])
def test_something_else_answers(body):
    """What is no answer of Prometheus's is one line."""
    refused = pytest.raises(Unavailable, match="does not answer")
    with answering(lambda form, headers: body) as url, refused as refusal:
        server_series.read(url, START, END)

    assert "word" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_nobody_is_there():
    """A closed port is one line too, and leaves the services out of a document."""
    url = f"http://someone:password@127.0.0.1:{free_port()}"

    with pytest.raises(Unavailable, match=r"at 127\.0\.0\.1:\d+ does not answer") as refusal:
        server_series.read(url, START, END)

    assert "password" not in str(refusal.value)
    services = assembly.ask_prometheus(url)
    assert services(START, END) is None


def test_one_that_hangs_is_not_waited_for(monkeypatch):
    """Of ten questions the first that gets no answer is the last."""
    monkeypatch.setattr(server_series, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            server_series.read(f"http://127.0.0.1:{server.getsockname()[1]}", START, END)

    assert time.monotonic() - began < 5 * server_series.TIMEOUT_S


@pytest.mark.parametrize("url", ["file:///etc/passwd", "prometheus:9090", "http://", "http://[x"])
def test_an_address_that_is_none(url):
    """Only the web is asked."""
    with pytest.raises(Unavailable, match="http:// or https:// URL"):
        server_series.read(url, START, END)


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("http://someone:password@host:9090/base/", "http://host:9090/base"),
        ("https://host/?token=secret", "https://host"),
        ("someone:password@host:9090", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_stored_without_user_info(url, stored):
    """What is no address of the web is not stored at all: nobody knows where its password is."""
    assert server_series.without_user_info(url) == stored


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9090", True),
        ("http://[::1]:9090", True),
        ("http://localhost", True),
        ("http://10.0.0.1:9090", False),
        ("http://prometheus:9090", False),
        ("nonsense", False),
    ],
)
def test_a_loopback_address_is_known(url, expected):
    """It leads to another Prometheus on another machine."""
    assert server_series.is_loopback(url) is expected
