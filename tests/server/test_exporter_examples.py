"""What users of prometheus-flask-exporter do with it works with `instrument` as it did before.

One test for each kind of example that comes with the exporter.
"""

import pytest
from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_flask_exporter import PrometheusMetrics
from support.scraping import parse
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from swarmscope.server import instrument

DURATION = "flask_http_request_duration_seconds_count"


def samples(app):
    return parse(app.test_client().get("/metrics").text)


def test_decorators():
    """Counters, gauges, summaries and histograms, labelled by request and response."""
    app = Flask("decorators")
    metrics = instrument(app)
    metrics.info("app_info", "About the app", version="1.0.3")

    @app.get("/kinds/<kind>")
    @metrics.do_not_track()
    @metrics.counter("kinds", "By kind", labels={"kind": lambda: request.view_args["kind"]})
    def kinds(kind):
        return kind

    @app.get("/long")
    @metrics.gauge("working", "At work on it", multiprocess_mode="livesum")
    def long():
        return str(metrics.registry.get_sample_value("working"))

    @app.get("/status/<int:code>")
    @metrics.summary("by_status", "By status", labels={"code": lambda r: r.status_code})
    @metrics.histogram("by_path", "By path", labels={"path": lambda: request.path})
    def status(code):
        return "", code

    client = app.test_client()
    for path in ("/kinds/a", "/kinds/a", "/kinds/b", "/status/200", "/status/418"):
        client.get(path)
    assert client.get("/long").text == "1.0"

    found = samples(app)
    assert found.value("app_info", version="1.0.3") == 1
    assert (found.value("kinds_total", kind="a"), found.value("kinds_total", kind="b")) == (2, 1)
    assert found.value("working") == 0
    assert found.value("by_status_count", code="418") == 1
    assert found.value("by_path_count", path="/status/200") == 1
    assert found.total(DURATION, url_rule="/kinds/<kind>") == 0  # not tracked, but counted above
    assert found.total(DURATION) == 3


def test_exclusion_of_all_metrics():
    """A handler may leave no trace in the decorators' metrics either."""
    app = Flask("exclusion")
    metrics = instrument(app)

    @app.get("/")
    @metrics.exclude_all_metrics()
    @metrics.counter("calls", "Calls")
    def index():
        return ""

    app.test_client().get("/")

    assert samples(app).total(DURATION) == 0
    assert samples(app).value("calls_total") == 0


def test_protected_endpoint():
    """The endpoint can ask for a password."""
    app = Flask("protected")

    def login_required(view):
        def guarded(*args, **kwargs):
            if request.authorization != ("basic", {"username": "me", "password": "x"}):
                return Response(status=401)
            return view(*args, **kwargs)

        return guarded

    instrument(app, metrics_decorator=login_required)

    assert app.test_client().get("/metrics").status_code == 401


@pytest.mark.parametrize("registry", [None, CollectorRegistry()], ids=["default", "own"])
def test_app_factory(registry):
    """The exporter is made first, decorates handlers, and is bound to each app of the factory."""
    metrics = PrometheusMetrics.for_app_factory(registry=registry)
    name = f"factory_calls_{'own' if registry else 'default'}"

    @metrics.counter(name, "Calls")
    def index():
        return "hello"

    def create_app():
        app = Flask("factory")
        app.testing = True
        instrument(app, exporter=metrics, group_by="endpoint")
        app.add_url_rule("/", view_func=index)
        return app

    before = samples(create_app()).total(DURATION, endpoint="index")
    for app in (create_app(), create_app()):
        app.test_client().get("/")

    found = samples(create_app())
    assert found.value(f"{name}_total") == 2
    assert found.total(DURATION, endpoint="index") - before == 2


def test_one_registry_has_one_kind_of_labels():
    """A second app that would label the same metrics otherwise stops at its start."""
    registry = CollectorRegistry()
    instrument(Flask("first"), registry=registry)
    instrument(Flask("second"), registry=registry)

    with pytest.raises(ValueError, match="other labels"):
        instrument(Flask("third"), registry=registry, group_by="endpoint")


def test_defaults_for_all_endpoints():
    """Metrics of the user's own for every endpoint there is, inside a context and outside."""
    app = Flask("defaults")
    metrics = instrument(app)
    app.add_url_rule("/test", "test", lambda: "")
    with app.app_context():
        by_path = metrics.counter("inside", "By path", labels={"path": lambda: request.path})
        metrics.register_default(by_path)
    by_endpoint = metrics.counter("outside", "", labels={"endpoint": lambda: request.endpoint})
    metrics.register_default(by_endpoint, app=app)

    for _ in range(10):
        app.test_client().get("/test")

    found = samples(app)
    assert found.value("inside_total", path="/test") == 10
    assert found.value("outside_total", endpoint="test") == 10


def test_handlers_that_return_what_only_a_framework_understands():
    """As Flask-RESTful's do: the exporter's converter makes responses of it."""
    app = Flask("framework")

    def convert(value):
        return Response(status=value[1])

    metrics = instrument(app, response_converter=convert)

    @metrics.summary("by_code", "By code", labels={"code": lambda r: r.status_code})
    def resource():
        return None, 400 if "fail" in request.args else 200

    app.add_url_rule("/", view_func=resource)
    for path in ("/", "/", "/?fail=1"):
        app.test_client().get(path)

    found = samples(app)
    assert found.value("by_code_count", code="200") == 2
    assert found.value("by_code_count", code="400") == 1
    assert found.value(DURATION, method="GET", status="400", url_rule="/") == 1


def test_prometheus_clients_own_endpoint():
    """A registry that is shown by another WSGI application beside the app."""
    registry = CollectorRegistry()
    app = Flask("dispatched")
    instrument(app, registry=registry, path="", default_labels={"node": "n1"})
    app.add_url_rule("/test", "test", lambda: "ok")
    both = Client(DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app(registry)}))

    for _ in range(10):
        both.get("/test")

    found = parse(both.get("/metrics").text)
    assert found.value("flask_http_request_total", method="GET", status="200", node="n1") == 10
    assert found.value("flask_exporter_info", version="0.23.2") == 1
