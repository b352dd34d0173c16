"""What a client that follows redirects says of each hop, and what is recorded of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import locust
import pytest
import requests
from flask import Flask, redirect, request
from locust.env import Environment
from support.scraping import parse
from werkzeug.serving import make_server

from swarmscope.client.response_timing import timing_of
from swarmscope.client.workload import users
from swarmscope.client.workload.marking import mark_requests
from swarmscope.server import instrument
from swarmscope.server_timing import parts

USERS = [users.FastHttpUser, users.HttpUser, locust.FastHttpUser, locust.HttpUser]
WORK_MS = 400
QUEUE = "flask_http_request_queue_seconds"


@pytest.fixture(autouse=True)
def _marks() -> None:
    mark_requests()


@pytest.fixture
def service() -> Iterator[SimpleNamespace]:
    """Run a service that is measured: `/slow` takes a while and leads to `/fast`."""
    app = Flask("service")
    seen: list[dict[str, str]] = []
    app.before_request(lambda: seen.append(dict(request.headers)))

    @app.get("/fast")
    def fast() -> str:
        return "ok"

    @app.get("/slow")
    def slow():
        time.sleep(WORK_MS / 1000)
        return redirect(request.args.get("to", "/fast"))

    @app.get("/bare")
    def bare():
        return redirect("/slow")

    @app.get("/broken")
    def broken():
        return "broken", 500

    instrument(app, exclude=("/bare",))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(app=app, seen=seen, url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()


def user_of(base, service):
    """Return a user of the service, and what is reported of its requests."""
    environment = Environment()
    reported: list[dict] = []
    environment.events.request.add_listener(lambda **fields: reported.append(fields))
    return type("Visitor", (base,), {"host": service.url})(environment), reported


@pytest.mark.parametrize("base", USERS)
def test_the_first_hops_time_is_no_queue(service, base):
    """The second hop says when it was sent itself: to the client and in the service's metrics."""
    user, reported = user_of(base, service)
    response = user.client.get("/slow")

    (sample,) = reported
    queue, app = parts(timing_of(sample["response"], "test"))
    assert WORK_MS <= app < sample["response_time"]
    assert 0 <= queue < WORK_MS
    assert queue + app <= sample["response_time"]
    starts = [float(headers["X-Request-Start"][2:]) for headers in service.seen]
    assert starts[1] - starts[0] >= WORK_MS / 1000
    assert {h["Traceparent"][3:35] for h in service.seen} == {response.trace_id.hex()}
    found = parse(service.app.test_client().get("/metrics").text)
    assert found.value(f"{QUEUE}_count", url_rule="/fast") == 1
    assert found.value(f"{QUEUE}_sum", url_rule="/fast") < WORK_MS / 1000


@pytest.mark.parametrize("base", USERS)
def test_a_chain_has_the_parts_of_all_its_hops(service, base):
    """Each hop's work is work, none of it is waiting."""
    user, reported = user_of(base, service)
    user.client.get("/slow?to=/slow?to=/fast")

    (sample,) = reported
    queue, app = parts(timing_of(sample["response"], "test"))
    assert 2 * WORK_MS <= app < sample["response_time"]
    assert queue < WORK_MS


@pytest.mark.parametrize("base", USERS)
def test_a_hop_that_says_nothing_leaves_the_parts_unknown(service, base):
    """Its time would count as outside."""
    user, reported = user_of(base, service)
    user.client.get("/bare")

    assert timing_of(reported[0]["response"], "test") is None


@pytest.mark.parametrize("base", USERS)
def test_a_redirect_to_an_error_has_no_wrong_parts(service, base):
    """geventhttpclient forgets the hops before an error: unknown, rather than the last alone."""
    user, reported = user_of(base, service)
    user.client.get("/slow?to=/broken")

    timing = timing_of(reported[0]["response"], "test")
    assert timing is None or parts(timing)[1] >= WORK_MS


@pytest.mark.parametrize("base", [locust.FastHttpUser, locust.HttpUser])
def test_users_that_say_no_start_know_all_of_the_apps_part(unmarked, service, base):
    """There is no queue; the app's part is that of all hops."""
    user, reported = user_of(base, service)
    user.client.get("/slow")

    queue, app = parts(timing_of(reported[0]["response"], "test"))
    assert queue is None
    assert app >= WORK_MS


@pytest.mark.parametrize("base", USERS)
def test_a_start_of_the_scenarios_own_stays(service, base):
    """Also at the next hop: whoever sets it says what it means."""
    user, _ = user_of(base, service)
    user.client.get("/slow", headers={"X-Request-Start": "t=1"})

    assert [headers["X-Request-Start"] for headers in service.seen] == ["t=1", "t=1"]


@pytest.mark.parametrize("base", USERS)
def test_headers_of_a_session_stay(service, base):
    """Set once for all requests of a user, they hold; the trace is theirs."""
    user, _ = user_of(base, service)
    mine = {"X-Request-Start": "t=1", "traceparent": f"00-{'ab' * 16}-{'1' * 16}-00"}
    session = (
        user.client.client.default_headers
        if issubclass(base, locust.FastHttpUser)
        else user.client.headers
    )
    session.update(mine)

    assert user.client.get("/fast").trace_id == b"\xab" * 16
    (headers,) = service.seen
    assert headers["X-Request-Start"] == "t=1"
    assert headers["Traceparent"] == mine["traceparent"]


def test_the_trace_is_the_one_that_went_out(service, monkeypatch):
    """OpenTelemetry's instrumentation of requests puts its own in place of what is there."""
    stock = requests.Session.send

    def send(session, prepared, **options):
        prepared.headers["traceparent"] = f"00-{'cd' * 16}-{'1' * 16}-01"
        return stock(session, prepared, **options)

    monkeypatch.setattr(requests.Session, "send", send)
    user, _ = user_of(users.HttpUser, service)

    assert user.client.get("/fast").trace_id == b"\xcd" * 16
    assert service.seen[0]["Traceparent"][3:35] == "cd" * 16


def test_the_trace_of_a_tracer_of_geventhttpclient(service, monkeypatch):
    """The same for the other client."""
    user, _ = user_of(users.FastHttpUser, service)
    stock = type(user.client.client)._urlopen

    def send(agent, sent):
        sent.headers["traceparent"] = f"00-{'cd' * 16}-{'1' * 16}-01"
        return stock(agent, sent)

    monkeypatch.setattr(type(user.client.client), "_urlopen", send)

    assert user.client.get("/fast").trace_id == b"\xcd" * 16


@pytest.mark.parametrize("base", USERS)
def test_a_response_that_is_reported_again_has_its_parts_once(service, base):
    """By a scenario that makes a figure of its own of it; each reader has them once."""
    user, reported = user_of(base, service)
    with user.client.get("/fast", catch_response=True) as response:
        pass
    user.environment.events.request.fire(
        request_type="KPI", name="whole", response_time=1.0, response_length=0,
        response=response, exception=None, context={},
    )  # fmt: skip

    first, second = (fields["response"] for fields in reported)
    for reader in ("journal", "measurement"):
        assert parts(timing_of(first, reader))[1] is not None
        assert timing_of(second, reader) is None


def test_a_request_that_is_sent_again_says_when(service):
    """After a connection that broke; the queue is not what came before."""
    user, _ = user_of(users.FastHttpUser, service)
    agent = user.client.client
    agent.max_retries = 1
    stock, failures = type(agent)._urlopen, [TimeoutError("slow")]

    def send(sent):
        if failures:
            time.sleep(WORK_MS / 1000)
            raise failures.pop()
        return stock(agent, sent)

    agent._urlopen = send
    response = user.client.get("/fast")

    assert response.status_code == 200
    assert parts(timing_of(response, "test"))[0] < WORK_MS
