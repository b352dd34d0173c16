"""A conf file's own hooks beside ours, wherever it has them."""

from __future__ import annotations

import os
import signal

import pytest
from support.scraping import scrape
from support.timed_client import get
from support.waiting import free_port, poll_until

TOTAL = "flask_http_request_total"
IMPORT = "\nfrom swarmscope.server.gunicorn import *\n"
SIGNATURES = {
    "nworkers_changed": "server, new_value, old_value",
    "when_ready": "server",
    "on_reload": "server",
    "pre_fork": "server, worker",
    "post_fork": "server, worker",
    "post_worker_init": "worker",
    "child_exit": "server, worker",
}
OWN = "".join(
    f"def {name}({parameters}):\n    {parameters.split(',')[0]}.log.info('mine: {name}')\n"
    for name, parameters in SIGNATURES.items()
)
CALLING = "from swarmscope.server import gunicorn as metrics\n" + "".join(
    f"def {name}({parameters}):\n"
    f"    metrics.{name}({parameters})\n"
    f"    {parameters.split(',')[0]}.log.info('mine: {name}')\n"
    for name, parameters in SIGNATURES.items()
)


def mine(service):
    """Return how often each of the conf file's own hooks ran."""
    log = service.log()
    return {name: log.count(f"mine: {name}\n") for name in SIGNATURES}


@pytest.mark.parametrize(
    ("conf", "preload"),
    [
        (OWN + IMPORT, False),
        (OWN, True),
        pytest.param(OWN, False, marks=pytest.mark.proof),
        pytest.param(CALLING + IMPORT, True, marks=pytest.mark.proof),
        (CALLING, False),
    ],
)
def test_both_run_once(serve, conf, preload):
    """Above the import, below it, and calling ours, as they had to before."""
    with serve(
        "-w", "1", *["--preload"] * preload, conf=conf + "serve_metrics(port=0)\n"
    ) as service:
        for _ in range(3):
            get(service.port, "/pid")
        assert service.scrape().total(TOTAL) == 3
        (pid,) = service.workers()

        os.kill(service.pid, signal.SIGHUP)
        poll_until(lambda: service.workers() and pid not in service.workers(), "another worker")
        poll_until(lambda: mine(service)["child_exit"], "the end of the first worker")
        get(service.port, "/pid")

        assert mine(service) == {
            "nworkers_changed": 2,
            "when_ready": 1,
            "on_reload": 1,
            "pre_fork": 2,
            "post_fork": 2,
            "post_worker_init": 2,
            "child_exit": 1,
        }
        found = service.scrape()
        assert found.total(TOTAL) == 4
        assert found.total("gunicorn_worker_restarts_total") == 1
        assert {name.rpartition("_")[2] for name in service.files()} <= {
            "0.db",
            "1.db",
            "arbiter.db",
        }


def test_the_exporters_hooks_stand_beside_ours(serve):
    """They take the names of two of ours, and both ways of seeing the metrics work."""
    port = free_port()
    conf = f"""
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

def when_ready(server):
    GunicornPrometheusMetrics.start_http_server_when_ready({port}, "127.0.0.1")

def child_exit(server, worker):
    GunicornPrometheusMetrics.mark_process_dead_on_child_exit(worker.pid)
"""
    with serve("-w", "1", conf=conf) as service:
        for _ in range(3):
            get(service.port, "/pid")

        assert service.scrape().total(TOTAL) == 3
        assert scrape(f"http://127.0.0.1:{port}/metrics").total(TOTAL) == 3
        (pid,) = service.workers()
        os.kill(pid, signal.SIGKILL)
        poll_until(lambda: service.workers() - {pid}, "another worker")
        assert service.scrape().total("gunicorn_worker_restarts_total") == 1
