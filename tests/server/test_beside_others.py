"""What an app may have beside `instrument`: the exporter, metrics of its own, other processes."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

import prometheus_client
import pytest
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics
from support.scraping import parse
from support.timed_client import get
from werkzeug.middleware.proxy_fix import ProxyFix

from swarmscope.server import instrument, instrumentation

TOTAL = "flask_http_request_total"
COUNT = "flask_http_request_duration_seconds_count"

BEFORE = "PrometheusMetrics(app, group_by='url_rule')\n    instrument(app)"
AFTER = "instrument(app)\n    PrometheusMetrics(app, group_by='url_rule')"
FACTORY = "instrument(app)\n    PrometheusMetrics.for_app_factory().init_app(app)"
APP = """
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics
from swarmscope.server import instrument

def create_app():
    app = Flask("both")
    {made}
    app.add_url_rule("/hello", view_func=lambda: "hello")
    app.add_url_rule("/boom", "boom", lambda: 1 / 0)
    return app
"""


@pytest.mark.parametrize("made", [BEFORE, AFTER, FACTORY])
def test_the_exporter_beside_counts_no_request_twice(serve, tmp_path, made):
    """Under gunicorn both write to the same files; whichever was there first, one line says so."""
    (tmp_path / "both.py").write_text(APP.format(made=made))
    with serve("-w", "1", "--pythonpath", str(tmp_path), app="both:create_app()") as service:
        for _ in range(7):
            get(service.port, "/hello")
        get(service.port, "/boom")

        found = service.scrape()
        assert found.total(TOTAL) == found.total(COUNT) == 8
        assert found.total("flask_http_request_exceptions_total") == 1
        assert service.log().count("PrometheusMetrics and instrument() both measure both") == 1


@pytest.fixture
def default_registry(monkeypatch):
    """Let a test have a default registry that no other test finds its metrics in."""
    registry = prometheus_client.CollectorRegistry()
    for module in (prometheus_client, instrumentation):
        monkeypatch.setattr(module, "REGISTRY", registry)


@pytest.mark.parametrize("first", [True, False])
def test_the_exporter_beside_in_one_process(default_registry, caplog, first):
    """One endpoint shows our figures, and what the app has made in the default registry."""
    app = Flask("both")
    if first:
        exporter = PrometheusMetrics(app)
    instrument(app)
    if not first:
        exporter = PrometheusMetrics(app)
    app.add_url_rule(
        "/", view_func=exporter.counter(f"beside_{first}", "", labels={"x": "y"})(lambda: "")
    )

    for _ in range(3):
        app.test_client().get("/")

    found = parse(app.test_client().get("/metrics").text)
    assert found.total(TOTAL) == found.total(COUNT) == 3
    assert found.total(f"beside_{first}_total") == 3
    assert caplog.text.count("both measure both") == 1


def test_an_app_is_instrumented_once_whatever_is_around_it():
    """A middleware that was put around it hides the first time from nobody."""
    app = Flask("wrapped")
    instrument(app)
    app.wsgi_app = ProxyFix(app.wsgi_app)

    with pytest.raises(RuntimeError, match="wrapped is instrumented already"):
        instrument(app)


OWN = """
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, REGISTRY
from swarmscope.server import instrument

class Custom(Collector):
    def collect(self):
        yield GaugeMetricFamily("custom", "", 1)

def create_app():
    app = Flask("own")
    instrument(app).info("seen_info", "", version="1")
    Gauge("from_function", "").set_function(lambda: 7)
    Info("build", "").info({"version": "1"})
    Enum("state", "", states=["on", "off"])
    REGISTRY.register(Custom())
    Gauge("seen", "", multiprocess_mode="mostrecent").set(7)
    Counter("seen_too", "").inc()
    app.add_url_rule("/hello", view_func=lambda: "hello")
    return app
"""


@pytest.mark.parametrize("options", [("-w", "2"), ("-w", "1", "--preload")])
def test_metrics_that_nobody_will_see_are_told_of(serve, tmp_path, options):
    """Once each, whoever makes them, when they are made; those that are seen are not."""
    (tmp_path / "own.py").write_text(OWN)
    path = ("--pythonpath", str(tmp_path))
    with serve(*options, *path, app="own:create_app()") as service:
        get(service.port, "/hello")

        for name in ("from_function (Gauge.set_function)", "build (Info)", "state (Enum)",
                     "Custom (Custom)"):  # fmt: skip
            assert service.log().count(f"{name} is not in the served metrics") == 1
        assert service.log().count("is not in the served metrics") == 4
        found = service.scrape()
        assert found.value("seen") == 7
        assert found.value("seen_too_total") >= 1
        assert found.value("seen_info", version="1") == 1


SERVERS = """
import os, socket, sys, time
from flask import Flask
from werkzeug.serving import make_server
from swarmscope.server import instrument

app = Flask("forked")
instrument(app)
app.add_url_rule("/hello", view_func=lambda: "hello")
listener = socket.create_server(("127.0.0.1", 0))
listener.set_inheritable(True)
if sys.argv[1] == "siblings":
    pids = [os.fork() for _ in range(2)]
    if all(pids):
        print(listener.getsockname()[1], flush=True)
        os.wait()
else:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print(listener.getsockname()[1], flush=True)
make_server("127.0.0.1", 0, app, fd=listener.fileno()).serve_forever()
"""


@pytest.mark.parametrize(("kind", "told"), [("siblings", True), ("child", False)])
def test_a_scrape_that_sees_one_of_several_processes_says_so(tmp_path, kind, told):
    """Servers that share a socket are several, a child that has inherited it is none."""
    program = tmp_path / "servers.py"
    program.write_text(SERVERS)
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([sys.executable, str(program), kind], stdout=subprocess.PIPE, stderr=log,
                         start_new_session=True) as process,
    ):  # fmt: skip
        try:
            assert process.stdout
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/metrics"
            for _ in range(6):
                with urllib.request.urlopen(url, timeout=20) as answer:
                    assert answer.status == 200
            log_text = (tmp_path / "log").read_text()
        finally:
            subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)
    lines = log_text.count("/metrics answers for one process only, and others serve the app too")
    assert lines == told
