"""A Prometheus that is not there, or not one: said in a line, soon, and without its password."""

from __future__ import annotations

import json
import re
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.answering import answering, lines, moment
from support.waiting import free_port

from swarmscope.runs import assembly, prometheus, server_series
from swarmscope.runs.prometheus import Unavailable
from swarmscope.runs.server_series import CALLS, GAUGES, MAX_CALLS, MAX_POINTS, RATES, CallKey
from swarmscope.runs.services import MAX_SERVICES, Service, Targets

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(seconds=60)


TARGETS = Targets(names=["api"])


def about(form) -> bytes | None:
    """Answer what is asked about one moment: where services are, and how often they are scraped."""
    query = form["query"]
    if "start" in form:
        return None
    if query.startswith("up{"):
        return lines(("api", [(at, "1") for at in range(0, 150, 2)]))
    return moment(*({"job": "api", "instance": "127.0.0.1:9102"},) * ("(up[" in query))


def test_values_come_to_their_moments():
    """A rate stands in the middle of its window; gaps and not-a-number stay unknown."""
    seen: list[tuple[float, float, float]] = []
    authorised: set[str] = set()

    def answer(form, headers) -> bytes:
        authorised.add(headers["Authorization"])
        if (said := about(form)) is not None:
            return said
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        seen.append((start, end, step))
        assert '{job=~"api"' in form["query"]
        return lines(("api", [(start, "1.5"), (start + 2 * step, "NaN"), (end, "3")]))

    with answering(answer) as url:
        capture = server_series.read(url, START, END, TARGETS)

    assert capture.services == (Service("api", "target"),)
    assert {name for _, name in capture.series} == RATES.keys() | GAUGES.keys()
    for values in capture.series.values():
        assert (len(values), values[0], values[1:-1], values[-1]) == (31, 1.5, [None] * 29, 3)
    begun = START.timestamp()
    shifted, exact = (begun + 5, begun + 65, 2), (begun, begun + 60, 2)
    resources = [shifted]
    assert seen == resources + [shifted] * len(RATES) + [exact] * len(GAUGES)
    assert authorised == {"Basic c29tZW9uZTpwYXNzIHdvcmQ="}


def test_a_slow_scrape_makes_wide_windows():
    """A rate over ten seconds would be empty where services are scraped every fifteen."""
    windows = set()

    def answer(form, headers) -> bytes:
        if form["query"].startswith("up{"):
            return lines(("api", [(at, "1") for at in range(0, 150, 15)]))
        if (said := about(form)) is not None:
            return said
        windows.update(re.findall(r"rate\(.*?\[(\d+)s\]", form["query"]))
        return lines()

    with answering(answer) as url:
        assert server_series.read(url, START, END, TARGETS).step_s == 15
    assert windows == {"60"}


def test_what_is_kept_is_bounded():
    """A month's run has no more points than a minute's, and services have a limit.

    Where no host leads to any, those that counted most requests are kept.
    """

    def answer(form, headers) -> bytes:
        jobs = [f"job{number:03}" for number in range(50)]
        if form["query"].startswith("sum by (job) (increase("):
            return moment({"job": "job007"}, *({"job": job} for job in jobs[20:]))
        if (said := about(form)) is not None:
            return said
        assert "job007|job020" in form["query"]
        assert "job028" not in form["query"]
        at = float(form["start"])
        return lines(*((job, [(at, "1")]) for job in jobs[:8]))

    with answering(answer) as url:
        capture = server_series.read(url, START, START + timedelta(days=30))

    assert {service.role for service in capture.services} == {"counted"}
    assert len({job for job, _ in capture.series}) == MAX_SERVICES
    (points,) = {len(values) for values in capture.series.values()}
    assert MAX_POINTS * 0.9 < points <= MAX_POINTS


def test_calls_lead_to_the_service_that_answers():
    """Those that took the most time, and which of the run's services is at their other end."""
    hosts = [f"10.0.0.{number}:80" for number in range(30)]

    def answer(form, headers) -> bytes:
        query, call = form["query"], [{"job": "api", "host": host} for host in hosts]
        if query.startswith("sum by (job, host) (increase"):
            return moment(*call)
        if "listener_info" in query:
            there = {"instance": "10.0.0.3:9102", "address": "0.0.0.0:80"}
            return moment({"job": "pricing", **there})
        if (said := about(form)) is not None:
            return said
        if "flask_http_outgoing" not in query:
            return lines()
        at = float(form["start"])
        value = lambda n: n + 1 if "seconds" in query else 1  # noqa: E731
        result = [
            {"metric": metric, "values": [[at, str(value(n))]]} for n, metric in enumerate(call)
        ]
        return json.dumps({"data": {"result": result}}).encode()

    with answering(answer) as url:
        capture = server_series.read(url, START, END, TARGETS)

    assert [service.name for service in capture.services] == ["api", "pricing"]
    assert set(capture.places) == set(hosts[10:])
    assert len(capture.calls) == MAX_CALLS * len(CALLS)
    assert capture.calls[CallKey("api", hosts[29], "mean_ms")][0] == 30


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
    assert services(START, END, Targets()) is None


def test_one_that_hangs_is_not_waited_for(monkeypatch):
    """Of ten questions the first that gets no answer is the last."""
    monkeypatch.setattr(prometheus, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            server_series.read(f"http://127.0.0.1:{server.getsockname()[1]}", START, END)

    assert time.monotonic() - began < 5 * prometheus.TIMEOUT_S


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
    assert prometheus.without_user_info(url) == stored


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
    assert prometheus.is_loopback(url) is expected
