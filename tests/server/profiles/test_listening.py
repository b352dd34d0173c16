"""What may happen to a worker during a profile, and what an app may use itself."""

import os
import signal
import threading

import pytest
from support.profiling import ask, load, read
from support.timed_client import get
from support.waiting import poll_until

CONF = "serve_metrics(port=0, profiles=True)\n"
WALL = "/debug/pprof/wall"


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("SIGPROF", "the app handles SIGPROF itself"),
        ("ITIMER_PROF", "the app has set ITIMER_PROF itself"),
    ],
)
def test_an_app_that_uses_the_signal_keeps_it(serve, use, text):
    """The answer says so, at once; what requests wait for is found without it."""
    app = f"support.profiled_service:create_app({use!r})"
    with serve("-w", "1", app=app, conf=CONF) as service:
        get(service.port, "/pid")
        status, body = ask(service.metrics_url, seconds=60)
        assert status == 503
        assert text in body.decode()
        with load(service.port, ["/asleep"], clients=1):
            status, body = ask(service.metrics_url, WALL, seconds=1)
        assert read(body).total("wait_asleep") > 0


@pytest.mark.parametrize(
    "path", ["/debug/pprof/profile", pytest.param(WALL, marks=pytest.mark.proof)]
)
def test_workers_that_come_and_go_and_fork(serve, path):
    """Each answers for its time: those that reach ``max_requests``, those of a reload."""
    options = ("-w", "2", "--max-requests", "12")
    with serve(*options, app="support.profiled_service:create_app()", conf=CONF) as service:
        get(service.port, "/pid")
        reloading = threading.Timer(1.5, os.kill, (service.pid, signal.SIGHUP))
        with load(service.port, ["/both", "/job"], clients=3) as sent:
            reloading.start()
            status, body = ask(service.metrics_url, path, seconds=4)
        reloading.join()
        assert status == 200
        profile = read(body)
        pids = {comment.partition("(pid ")[2].partition(")")[0] for comment in profile.comments}
        assert len(pids - {""}) >= 4
        assert not any("did not answer" in comment for comment in profile.comments)
        assert profile.total("hot", "/both") > 0
        assert not sent.failures
        poll_until(lambda: len(service.workers()) == 2, "both workers")
        assert get(service.port, "/pid").status == 200
        assert "Traceback" not in service.log()
