"""The exporter beside `instrument`: no request counts twice."""

from __future__ import annotations

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

    with pytest.raises(RuntimeError, match="wrapped is already instrumented"):
        instrument(app)
