"""Profiles on the metrics port of real arbiters."""

import json
import os
import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from support.profiling import ask, load, read
from support.timed_client import get
from support.waiting import poll_until

APP = "support.profiled_service:create_app()"
CONF = "serve_metrics(port=0, profiles=True)\n"
WALL = "/debug/pprof/wall"


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def handles(pid, number):
    return bool(int(status_of(pid)["SigCgt"], 16) >> (number - 1) & 1)


def threads(pid):
    return int(status_of(pid)["Threads"])


def begin(service, **query):
    """Ask for a profile without waiting for it; return the connection."""
    at = urlsplit(service.metrics_url)
    client = socket.create_connection((at.hostname, at.port), timeout=30)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    client.sendall(f"GET {WALL}?{text} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def test_there_are_none_unless_asked_for(serve):
    """Neither a path nor a handler, until a reload finds the setting."""
    with serve("-w", "1", app=APP) as service:
        pid = int(get(service.port, "/pid").body.split(b":")[1].strip(b"}\n"))
        assert ask(service.metrics_url)[0] == 404
        assert not handles(pid, signal.SIGURG)
        assert not handles(pid, signal.SIGPROF)

        service.conf.write_text(service.conf.read_text() + CONF)
        os.kill(service.pid, signal.SIGHUP)
        poll_until(lambda: service.log().count("Metrics at: ") == 2, "the reload")
        poll_until(lambda: pid not in service.workers(), "the new worker")
        assert get(service.port, "/pid").status == 200
        status, body = ask(service.metrics_url, seconds=1)
        assert status == 200, body


def test_what_may_be_asked(serve):
    """Until then there is one handler, of a signal that does no harm; after it, no thread stays."""
    with serve("-w", "1", app=APP, conf=CONF) as service:
        get(service.port, "/pid")
        (pid,) = service.workers()
        assert handles(pid, signal.SIGURG)
        assert not handles(pid, signal.SIGPROF)
        others = threads(pid)  # of them one may be a probe, for ten seconds after a marked request
        url = service.metrics_url

        for query in ({"seconds": 61}, {"seconds": 0}, {"seconds": "x"}, {"seconds": "nan"},
                      {"hz": 251}, {"hz": "-1"}, {"format": "html"}):  # fmt: skip
            status, text = ask(url, **query)
            assert status == 400
            assert next(iter(query)).encode() in text
        assert ask(url, method="POST")[0] == 405
        assert ask(url, path="/debug/pprof/heap")[0] == 404
        status, text = ask(url, headers={"Host": "evil.example"})
        assert (status, text) == (
            401, b"profiles are for this machine only: no token is set for others\n",
        )  # fmt: skip
        with load(service.port, ["/both"], clients=1):
            status, text = ask(url, seconds=1, format="folded")
        assert status == 200
        assert b"/both;Flask.wsgi_app" in text
        status, text = ask(url, WALL, seconds=1, format="json")
        assert (status, json.loads(text)["type"]) == (200, "waiting")
        poll_until(lambda: threads(pid) <= others, "the thread to end, which has just answered")


def test_one_at_a_time_and_for_as_long_as_its_client_waits(serve):
    with serve("-w", "1", app=APP, conf=CONF) as service:
        get(service.port, "/pid")
        (pid,) = service.workers()
        others = threads(pid)
        waiting = begin(service, seconds=30)
        poll_until(lambda: threads(pid) == others + 1, "the profile to begin")

        status, text = ask(service.metrics_url)
        assert status == 503
        assert b"another profile is being taken; it ends in " in text
        assert service.scrape().value("gunicorn_workers") == 1

        waiting.close()
        poll_until(lambda: threads(pid) <= others, "the profile to end")
        assert ask(service.metrics_url, seconds=1)[0] == 200
        assert not list(service.base.glob("swarmscope-*/*profile*"))


def test_a_worker_that_does_not_answer_is_missing(serve):
    """It is said which; the others' profile is there in time."""
    with serve("-w", "2", app=APP, conf=CONF) as service:
        poll_until(lambda: len(service.workers()) == 2, "both workers")
        poll_until(lambda: all(handles(pid, signal.SIGURG) for pid in service.workers()), "boot")
        stopped, other = sorted(service.workers())
        os.kill(stopped, signal.SIGSTOP)
        try:
            status, body = ask(service.metrics_url, seconds=1)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert status == 200
        comments = read(body).comments
        assert f"the worker with pid {stopped} did not answer in time" in comments
        assert any(f"(pid {other}): " in comment for comment in comments)

        os.kill(stopped, signal.SIGKILL)  # one that dies is no worker any more
        status, body = ask(service.metrics_url, seconds=1)
        assert status == 200


def test_a_token_for_others_and_the_environment_for_the_switch(tmp_path):
    """`up`, Compose and the manifests set both; go reads what comes out."""
    from support.gunicorn import ROOT, running_gunicorn

    token = tmp_path / "token"
    token.write_text("right\n")
    environment = {
        "SWARMSCOPE_METRICS_PORT": "0",
        "SWARMSCOPE_PROFILES": "1",
        "SWARMSCOPE_PROFILES_TOKEN_FILE": str(token),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "PYTHONPATH": str(ROOT / "tests"),
    }
    options = ("-c", "python:swarmscope.server.serve", "-w", "1", APP)
    with running_gunicorn(*options, log=tmp_path / "log", environment=environment) as server:
        url = poll_until(lambda: server.metrics_url, "the metrics to be served")
        get(server.port, "/pid")
        foreign = {"Host": "shop:9102"}
        assert ask(url, headers=foreign)[0] == 401
        assert ask(url, headers={**foreign, "Authorization": "Bearer wrong"})[0] == 401
        right = {**foreign, "Authorization": "Bearer right"}
        working = threading.Thread(target=get, args=(server.port, "/both"))
        working.start()
        assert ask(url, headers=right, seconds=1)[0] == 200
        working.join()
