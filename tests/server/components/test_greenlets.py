"""CPU time of requests that share a thread: each has its own."""

import time

import gevent
import greenlet
import pytest
from support.server_timing import timing

from swarmscope.server import instrument


@pytest.fixture(autouse=True)
def _untraced():
    yield
    greenlet.settrace(None)


def burn(ms):
    end = time.thread_time() + ms / 1000
    while time.thread_time() < end:
        pass


def answers(app, paths):
    """Return the responses to requests at the same time, each in a greenlet."""
    jobs = [gevent.spawn(app.test_client().get, path) for path in paths]
    gevent.joinall(jobs, raise_error=True)
    return [job.value for job in jobs]


@pytest.fixture(name="app")
def _app(app):
    instrument(app)

    @app.get("/<int:ms>")
    def index(ms):
        for _ in range(3):
            burn(ms / 3)
            gevent.sleep(0.001)
        return "ok"

    return app


def test_each_request_has_its_own_cpu_time(app):
    """Not what others use while it waits, which is `other`."""
    short, long = answers(app, ["/3", "/90"])

    assert timing(short)["cpu"] == pytest.approx(3, abs=2.5)
    assert timing(short)["app"] > 30
    assert timing(long)["cpu"] == pytest.approx(90, rel=0.05)


def test_another_trace_function_is_called(app):
    """That of a profiler that was there before, and is again once no request is measured."""
    seen = []

    def theirs(event, arguments):
        seen.append(event)

    greenlet.settrace(theirs)
    answers(app, ["/3", "/3"])

    assert "switch" in seen
    assert greenlet.gettrace() is theirs


def test_nothing_is_traced_unless_a_request_is_measured(app):
    """Also if one fails."""
    traced = []

    @app.get("/fail")
    def fail():
        traced.append(greenlet.gettrace())
        raise RuntimeError

    app.testing = False
    short, failed = answers(app, ["/3", "/fail"])

    assert (short.status_code, failed.status_code) == (200, 500)
    assert callable(traced[0])
    assert greenlet.gettrace() is None


@pytest.mark.parametrize("calls_ours", [True, False])
def test_ours_is_put_back(app, calls_ours):
    """If another one replaced it, whether that one calls ours or not: nothing counts twice."""
    seen = []

    @app.get("/replace")
    def replace():
        ours = greenlet.gettrace()

        def theirs(event, arguments):
            seen.append(event)
            if calls_ours:
                ours(event, arguments)

        greenlet.settrace(theirs)
        return "ok"

    answers(app, ["/replace"])
    theirs = greenlet.gettrace()
    short, long = answers(app, ["/3", "/60"])

    assert seen
    assert timing(short)["cpu"] == pytest.approx(3, abs=2.5)
    assert timing(long)["cpu"] == pytest.approx(60, rel=0.1)
    assert greenlet.gettrace() is theirs


def test_whatever_a_switch_raises_ends_nothing(app, monkeypatch):
    """A trace function that raises would raise in the app, and no switch would be traced again."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("swarmscope.server.components.breakdown.Breakdown.resumed", broken)

    (response,) = answers(app, ["/3"])

    assert response.status_code == 200


def test_calls_of_other_greenlets_count_once(app, called):
    """What a request waits for at the same time; their CPU time is not the request's."""
    import requests

    @app.get("/parallel")
    def parallel():
        pool = gevent.get_hub().threadpool
        jobs = [gevent.spawn(pool.apply, time.sleep, (0.05,)) for _ in range(3)]
        gevent.joinall(jobs)
        requests.get(f"{called.url}/?ms=50")
        return "ok"

    (response,) = answers(app, ["/parallel"])

    parts = timing(response)
    assert parts["http"] >= 50
    assert parts["app"] - parts["http"] - parts["cpu"] >= 45
