"""The server end with other versions of what it works with: the oldest and the newest."""

from __future__ import annotations

import os
import signal

import pytest
from support.environments import programs_of
from support.gunicorn import running_gunicorn
from support.scraping import scrape
from support.timed_client import get_all
from support.waiting import free_port, poll_until

TOTAL = "flask_http_request_total"
QUEUE = "flask_http_request_queue_seconds_count"

OLDEST = (
    "gunicorn==20.1.0",
    "setuptools<82",  # which gunicorn 20.1 imports
    "flask==2.3.*",
    "prometheus-client==0.19.*",
    "prometheus-flask-exporter==0.23.0",
)
NEWEST = ("gunicorn", "flask", "prometheus-client")
VERSIONS = [
    ("3.11", OLDEST),
    ("3.12", OLDEST),
    ("3.12", ("gunicorn==22.0.*", "flask==3.0.*", "prometheus-client==0.22.*")),
    ("3.12", ("gunicorn==23.0.*", *NEWEST[1:])),
    ("3.13", OLDEST),
    ("3.11", NEWEST),
    ("3.12", NEWEST),
    ("3.13", NEWEST),
]


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("python", "versions"), VERSIONS)
def test_counts_are_exact_with_other_versions(serve, tmp_path, python, versions):
    """Requests, queue, workers, backlog and a reload, with workers that thread and that do not."""
    programs = programs_of(tmp_path / "environment", python, *versions)
    for kind in ("sync", "gthread"):
        with serve("-w", "2", "-k", kind, "--threads", "2", programs=programs) as service:
            get_all(service.port, ["/pid"] * 40, clients=3)
            before = service.workers()
            os.kill(service.pid, signal.SIGHUP)
            poll_until(lambda: not before & service.workers(), "other workers", seconds=60)  # noqa: B023
            get_all(service.port, ["/pid", "/stream/1", "/job"] * 10, clients=3)

            found = service.scrape()
            assert found.total(TOTAL) == found.total(QUEUE) == 70
            assert found.value("jobs_total") == 10
            assert found.value("flask_http_requests_in_flight") == 0
            assert found.value("gunicorn_workers") == 2
            assert found.total("gunicorn_worker_restarts_total") == 2
            names = {name for name, _ in found}
            assert {"gunicorn_backlog_connections", "gunicorn_worker_wakes_total"} <= names
            assert "gunicorn_worker_queued_connections" in names  # threads make it gthread
            assert found.value("gunicorn_concurrency_limit") == 4
            held = found.total("flask_http_request_held_seconds_total")
            assert held >= found.total("flask_http_request_duration_seconds_sum") > 0


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("python", "versions"), [("3.11", OLDEST), ("3.13", NEWEST)])
def test_an_app_is_found_with_other_versions(tmp_path, python, versions):
    """With the conf module, preloaded or not: the hook runs, and the app's callable is there."""
    programs = programs_of(tmp_path / "environment", python, *versions)
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom werkzeug.middleware.proxy_fix import ProxyFix\n"
        "app = Flask(__name__)\napp.add_url_rule('/<name>', view_func=lambda name: name)\n"
        "fixed = ProxyFix(app.wsgi_app)\n"
    )
    for options in ((), ("--preload",), ("-k", "gthread", "--threads", "2")):
        port = free_port()
        with running_gunicorn(
            "-c", "python:swarmscope.server.serve", "-w", "2", *options, "app:fixed",
            log=tmp_path / "log", directory=tmp_path, programs=programs,
            environment={"SWARMSCOPE_METRICS_PORT": str(port)},
        ) as server:  # fmt: skip
            get_all(server.port, ["/you"] * 20, clients=2)

            found = scrape(f"http://127.0.0.1:{port}/metrics")
            assert found.total(TOTAL) == found.total(QUEUE, url_rule="/<name>") == 20
