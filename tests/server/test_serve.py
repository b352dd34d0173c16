"""Projects that know nothing of swarmscope, served by gunicorn with our conf module."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.gunicorn import PROGRAMS, ROOT, running_gunicorn
from support.scraping import scrape
from support.timed_client import get
from support.waiting import free_port, poll_until

TOTAL = "flask_http_request_total"
COUNT = "flask_http_request_duration_seconds_count"
SHOP = """
import time
from flask import Blueprint, Flask
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

bp = Blueprint("catalogue", __name__, url_prefix="/items")

@bp.get("/<int:number>")
def item(number):
    return {"number": number}

def create_app(name="shop", exporter=False):
    app = Flask(name)
    if exporter:
        PrometheusMetrics(app)
    app.register_blueprint(bp)
    app.add_url_rule("/health", view_func=lambda: "ok")
    app.add_url_rule("/slow", "slow", view_func=lambda: time.sleep(0.05) or "slow")
    return app

def create_with(required):
    return create_app()

def warmed_up():
    app = create_app()
    app.test_client().get("/items/0")
    return app

fixed = ProxyFix(create_app().wsgi_app)
mounted = DispatcherMiddleware(create_app().wsgi_app, {"/inner": create_app("inner")})

def hidden():
    apps = {"a": create_app(), "b": create_app()}
    return type("Hidden", (), {"__call__": lambda self, *both: kept["a"](*both)})()

kept = {"a": create_app()}
"""
CONF = """
workers = 2
preload_app = True
graceful_timeout = 3

def when_ready(server):
    server.log.info("mine: when_ready")

def post_worker_init(worker):
    worker.log.info("mine: post_worker_init")
"""


class Project:
    """A running project; its directory can be changed while it runs."""

    def __init__(self, gunicorn, directory, metrics_port):
        self.gunicorn, self.directory, self.metrics_port = gunicorn, directory, metrics_port

    def log(self):
        """Return what gunicorn wrote."""
        return self.gunicorn.log.read_text()

    def scrape(self):
        """Return the metrics."""
        return scrape(f"http://127.0.0.1:{self.metrics_port}/metrics")


def environment_of(metrics_port, environment):
    return {
        "SWARMSCOPE_METRICS_PORT": str(metrics_port),
        "GUNICORN_CMD_ARGS": "--config python:swarmscope.server.serve",
        "PYTHONPATH": str(ROOT),
        **environment,
    }


@pytest.fixture
def project(tmp_path):
    """Return what serves an app of a project, whose conf file is *conf*, until a block ends."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "shop.py").write_text(SHOP)

    @contextlib.contextmanager
    def serve_(app="shop:create_app()", *options, conf="", programs=PROGRAMS, **environment):
        (directory / "gunicorn.conf.py").write_text(conf)
        metrics_port = free_port()
        with running_gunicorn(
            *options, app, log=tmp_path / "log", directory=directory, programs=programs,
            environment=environment_of(metrics_port, environment),
        ) as gunicorn:  # fmt: skip
            yield Project(gunicorn, directory, metrics_port)

    return serve_


def await_both_workers(service):
    """Wait until the two workers of `CONF` have started: the first may answer before."""
    poll_until(lambda: service.log().count("mine: post_worker_init") == 2, "both workers")


def test_a_factory_with_a_conf_file_of_its_own(project):
    """Its settings and hooks are kept, what the environment excludes is not measured."""
    environment = {"SWARMSCOPE_EXCLUDE": "/health, /nothing", "SWARMSCOPE_SLO_P95_MS": "333"}
    with project(conf=CONF, **environment) as service:
        await_both_workers(service)
        port = service.gunicorn.port
        for number in range(20):
            assert get(port, f"/items/{number}").queue_s > 0
            assert get(port, "/health").app_s == 0

        found = service.scrape()
        rule = {"method": "GET", "status": "200", "url_rule": "/items/<int:number>"}
        assert found.total(TOTAL) == found.value(COUNT, **rule) == 20
        assert found.value("flask_http_request_duration_seconds_bucket", le="0.333", **rule) == 20
        assert found.value("gunicorn_workers") == 2
        log = service.log()
        assert log.count("mine: when_ready") == 1
        assert log.count("mine: post_worker_init") == 2
        assert "WARNING" not in log


@pytest.mark.parametrize("conf", ["worker_class = 'gevent'", "threads = 4"])
def test_workers_that_serve_several_requests_at_a_time(project, conf):
    """Each is measured, with the time that it took and not that of those beside it."""
    with project("shop:create_app()", conf=f"{conf}\nworkers = 1\n") as service:
        port = service.gunicorn.port
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: get(port, "/slow"), range(8)))

        assert {answer.status for answer in answers} == {200}
        assert all(0.05 <= answer.app_s < 1 for answer in answers)
        found = service.scrape()
        assert found.total(COUNT, url_rule="/slow") == found.total(TOTAL) == 8
        assert "WARNING" not in service.log()


@pytest.mark.parametrize("app", ["fixed", "mounted", "warmed_up()", "hidden()"])
def test_whatever_is_around_the_app(project, app):
    """Every request is counted by its route; or one line says what to do."""
    with project(f"shop:{app}", "--workers", "2") as service:
        for number in range(20):
            path = (
                f"/inner/items/{number}" if app == "mounted" and number % 2 else f"/items/{number}"
            )
            assert get(service.gunicorn.port, path).status == 200

        if app == "hidden()":
            assert service.scrape().total(TOTAL) == 0
            said = "no Flask app was found behind shop:hidden(); call swarmscope.server.instrument"
            poll_until(lambda: service.log().count(said) == 1, "one line that says what to do")
        else:
            found = service.scrape()
            assert found.total(COUNT, url_rule="/items/<int:number>") == found.total(TOTAL) == 20


def test_an_exporter_of_the_app_keeps_its_endpoint(project):
    """It counts nothing twice, and shows our figures."""
    with project("shop:create_app(exporter=True)") as service:
        for number in range(20):
            get(service.gunicorn.port, f"/items/{number}")

        assert service.scrape().total(TOTAL) == 20
        assert scrape(f"{service.gunicorn.url}/metrics").total(TOTAL) == 20


def test_a_reload_reads_the_projects_conf_file_again(project):
    """As gunicorn does by itself: settings that are gone are gone."""
    with project(conf=CONF) as service:
        get(service.gunicorn.port, "/items/1")
        await_both_workers(service)
        (service.directory / "gunicorn.conf.py").write_text("workers = 1\n")
        os.kill(service.gunicorn.process.pid, signal.SIGHUP)
        poll_until(lambda: service.scrape().value("gunicorn_workers") == 1, "one worker")

        assert get(service.gunicorn.port, "/items/1").status == 200
        assert service.scrape().total(TOTAL) == 2
        assert service.log().count("mine: post_worker_init") == 2


def test_a_conf_file_with_our_hooks_is_left_as_it_is(project):
    """They run once, with the conf file's own above and below; only the port is the stack's."""
    conf = (
        "def pre_fork(server, worker):\n    server.log.info('mine: pre_fork')\n"
        "from swarmscope.server.gunicorn import *\nserve_metrics(port=1)\n"
        "def post_fork(server, worker):\n    server.log.info('mine: post_fork')\n"
    )
    with project(conf=conf) as service:
        get(service.gunicorn.port, "/items/1")

        assert service.scrape().total(TOTAL) == 1
        assert service.log().count("mine: pre_fork") == service.log().count("mine: post_fork") == 1


@pytest.mark.parametrize(
    ("app", "conf", "said"),
    [
        ("shop:nothing", "", r"Failed to find attribute 'nothing' in 'shop'"),
        ("shop:create_with()", "", r"create_with\(\) missing 1 required positional argument"),
        ("nothing:app", "", r"ModuleNotFoundError: No module named 'nothing'"),
        ("shop:create_app()", "import nothing", r"config file: gunicorn.conf.py\nTraceback"),
    ],
)
def test_what_does_not_start_says_what_gunicorn_says(tmp_path, app, conf, said):
    """The project's own traceback, or gunicorn's own line."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "gunicorn.conf.py").write_text(conf)
    command = [PROGRAMS / "gunicorn", "--bind", "127.0.0.1:0", app]
    environment = {**os.environ, **environment_of(0, {})}

    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode != 0
    assert re.search(said, done.stderr)
    assert "no Flask app" not in done.stderr
