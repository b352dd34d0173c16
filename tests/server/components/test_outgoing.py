"""Outgoing calls of a request carry its trace and their own start, and are timed and counted."""

import asyncio
import re
import threading
import time

import pytest
import requests
import urllib3
from support.instrumented import samples
from support.server_timing import calls, timing

from swarmscope.server import instrument
from swarmscope.server.components.measuring import HOOKS
from swarmscope.server.headers import seconds_since

TRACE = "a" * 32
RECEIVED = {"traceparent": f"00-{TRACE}-{'b' * 16}-00", "tracestate": "x=1"}
SECONDS = "flask_http_outgoing_seconds_total"
CALLS = "flask_http_outgoing_calls_total"
HTTPX = {"follow_redirects": True, "verify": False, "trust_env": False}  # without certificates


def with_urllib3(url, **headers):
    """Also what a pool sets for all its calls."""
    return urllib3.PoolManager(headers={"X-Pool": "1"}).request("GET", url, headers=headers).status


def with_requests(url, **headers):
    return requests.get(url, headers=headers).status_code


def with_httpx(url, **headers):
    import httpx

    with httpx.Client(**HTTPX) as client:
        return client.get(url, headers=headers).status_code


def with_async_httpx(url, **headers):
    import httpx

    async def get():
        async with httpx.AsyncClient(**HTTPX) as client:
            return (await client.get(url, headers=headers)).status_code

    return asyncio.run(get())


CLIENTS = [with_urllib3, with_requests, with_httpx, with_async_httpx]
each_client = pytest.mark.parametrize("send", CLIENTS)


def answer(app, handler, **headers):
    """Return the response of *app*, instrumented, whose view is *handler*."""
    if "index" not in app.view_functions:
        app.add_url_rule("/", "index", lambda: str(app.config["handler"]()))
    app.config["handler"] = handler
    return app.test_client().get("/", headers=headers)


@each_client
def test_a_call_carries_the_requests_trace_and_its_own_start(app, called, send):
    """With a new parent for each call; each hop of a redirect has a start of its own."""
    instrument(app)
    url = f"{called.url}/?ms=100&then=/"

    response = answer(app, lambda: send(url), **RECEIVED)

    assert response.text == "200"
    first, second = called.headers
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", first["traceparent"])
    assert first["traceparent"] != RECEIVED["traceparent"]
    assert first["tracestate"] == "x=1"
    starts = [float(headers["x-request-start"].removeprefix("t=")) for headers in (first, second)]
    assert seconds_since(first["x-request-start"], time.time()) < 10
    assert starts[1] - starts[0] >= 0.1


@each_client
def test_a_request_without_a_trace_begins_one(app, called, send):
    """All calls of a request share it; a malformed one is none."""
    instrument(app)

    answer(app, lambda: [send(called.url), send(called.url)], traceparent="00-malformed")

    traces = [headers["traceparent"].split("-") for headers in called.headers]
    assert traces[0][1] == traces[1][1]
    assert traces[0][2] != traces[1][2]
    assert re.fullmatch("[0-9a-f]{32}", traces[0][1])


@each_client
def test_what_the_app_sets_itself_stays(app, called, send):
    """Also headers in other case than ours; nothing is sent twice."""
    instrument(app)
    own = {"TraceParent": "00-own", "x-request-start": "t=1"}

    answer(app, lambda: send(called.url, **own), **RECEIVED)

    assert called.headers[0]["traceparent"] == "00-own"
    assert called.headers[0]["x-request-start"] == "t=1"
    assert "tracestate" not in called.headers[0]


@each_client
def test_nothing_is_touched_outside_of_a_request(app, called, send):
    """Before one, after one, and in a thread that one has started."""
    instrument(app)
    send(called.url)
    answer(app, lambda: None)
    send(called.url)

    def in_a_thread():
        thread = threading.Thread(target=send, args=(called.url,))
        thread.start()
        thread.join()

    answer(app, in_a_thread)

    assert len(called.headers) == 3
    for headers in called.headers:
        assert not headers.keys() & {"traceparent", "x-request-start"}
    assert samples(app).total(CALLS) == 0


@each_client
def test_calls_are_timed_and_counted(app, called, send):
    """By host and method, and as the component `http` of the request."""
    instrument(app)

    response = answer(app, lambda: [send(f"{called.url}/?ms=80") for _ in range(2)])

    assert calls(response) == {"http": 2}
    assert 160 <= timing(response)["http"] < timing(response)["app"]
    found = samples(app)
    labels = {"host": called.host, "method": "GET"}
    assert found.value(CALLS, outcome="ok", **labels) == 2
    assert 0.16 <= found.value(SECONDS, **labels) < timing(response)["app"] / 1000
    part = {"part": "http", "url_rule": "/"}
    assert found.value("flask_http_request_calls_total", **part) == 2
    assert found.value("flask_http_request_part_seconds_total", **part) >= 0.16


def test_a_call_that_fails_is_an_error(app, called):
    """A 5xx, or no response at all; the app gets its exception."""
    instrument(app)
    called.failures = 1

    def view():
        requests.get(called.url)
        with pytest.raises(requests.ConnectionError):
            requests.post("http://127.0.0.1:1")

    answer(app, view)

    found = samples(app)
    assert found.value(CALLS, host=called.host, method="GET", outcome="error") == 1
    assert found.value(CALLS, host="127.0.0.1:1", method="POST", outcome="error") == 1


def test_a_retry_is_part_of_its_call(app, called):
    """With a start of its own, so that the queue of the other service is right."""
    instrument(app)
    called.failures = 1
    retry = urllib3.Retry(1, status_forcelist=[503], backoff_factor=0)

    def view():
        urllib3.PoolManager(retries=retry).request("GET", f"{called.url}/?ms=50")

    response = answer(app, view)

    first, second = (float(h["x-request-start"].removeprefix("t=")) for h in called.headers)
    assert second - first >= 0.05
    assert calls(response) == {"http": 1}
    assert samples(app).total(CALLS) == 1


@pytest.mark.parametrize("send", [with_requests, with_httpx])
def test_reading_the_body_is_part_of_the_call(app, called, send):
    """A client that returns the whole response has waited for all of it."""
    instrument(app)

    response = answer(app, lambda: send(f"{called.url}/?body_ms=120"))

    assert timing(response)["http"] >= 120


def test_calls_at_the_same_time_count_once(app, called):
    """Three tasks that wait 100 ms together are 100 ms of the request."""
    import httpx

    instrument(app)

    async def get():
        async with httpx.AsyncClient(**HTTPX) as client:
            await asyncio.gather(*(client.get(f"{called.url}/?ms=100") for _ in range(3)))

    response = answer(app, lambda: asyncio.run(get()))

    parts = timing(response)
    assert calls(response) == {"http": 3}
    assert parts["http"] >= 100
    assert parts["http"] + parts["cpu"] <= parts["app"] + 0.01


def test_hosts_can_be_chosen(app, called, monkeypatch):
    """By patterns, in the code or in the environment; calls to others are counted all the same."""
    instrument(app, propagate=("*.internal",))
    answer(app, lambda: requests.get(called.url))
    assert "x-request-start" not in called.headers[0]
    assert samples(app).total(CALLS) == 1

    monkeypatch.setenv("SWARMSCOPE_PROPAGATE", "pricing, 127.0.0.*")
    other = type(app)("other")
    instrument(other, propagate=())
    answer(other, lambda: requests.get(called.url))
    assert "x-request-start" in called.headers[1]


def test_hosts_are_bounded(app, called, monkeypatch):
    """An app that calls whatever its clients name has as many series as it may."""
    monkeypatch.setattr("swarmscope.server.components.outgoing.MAX_HOSTS", 2)
    instrument(app)

    def view():
        for port in range(1, 5):
            with pytest.raises(requests.ConnectionError):
                requests.get(f"http://127.0.0.1:{port}")

    answer(app, view)

    found = samples(app)
    assert found.value(CALLS, host="127.0.0.1:1", method="GET", outcome="error") == 1
    assert found.value(CALLS, host="other", method="GET", outcome="error") == 2


def test_everything_can_be_switched_off(app, called):
    """No component, no header: the call is the library's own."""
    instrument(app, components=(), propagate=())

    response = answer(app, lambda: requests.get(called.url))

    assert timing(response).keys() == {"app"}
    assert not called.headers[0].keys() & {"traceparent", "x-request-start"}


def test_an_unknown_component_is_refused(app):
    """With the names that there are."""
    with pytest.raises(ValueError, match="'dbs' is not a component; there are cpu, db"):
        instrument(app, components=("dbs",))


def test_libraries_can_be_restored(app):
    """For tests of an app: what was hooked is as before."""
    before = urllib3.HTTPConnectionPool.urlopen, requests.Session.send
    instrument(app)
    assert urllib3.HTTPConnectionPool.urlopen is not before[0]

    HOOKS.undo()

    assert (urllib3.HTTPConnectionPool.urlopen, requests.Session.send) == before
