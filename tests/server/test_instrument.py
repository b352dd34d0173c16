"""`instrument` in one process, through Flask's client: what is counted, and under which labels."""

import itertools
import logging
import re
import subprocess
import sys
import threading
import time

import pytest
from flask import Blueprint, Flask, Response, abort, current_app, send_file
from flask.views import MethodView
from prometheus_client import CollectorRegistry
from support.scraping import parse
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, create_environ

from swarmscope.server import BUCKETS, current_trace_id, instrument

DURATION = "flask_http_request_duration_seconds"
TOTAL = "flask_http_request_total"
EXCEPTIONS = "flask_http_request_exceptions_total"
QUEUE = "flask_http_request_queue_seconds"
IN_FLIGHT = "flask_http_requests_in_flight"
TIMING = re.compile(r"(?:queue;dur=(\d+\.\d{3}), )?app;dur=(\d+\.\d{3})")
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture(name="app")
def _app():
    return Flask("service")


def add_routes(app):
    @app.route("/items/<int:number>")
    def item(number):
        if number == 404:
            abort(404)
        return {"number": number}

    @app.route("/boom")
    def boom():
        raise LookupError("nothing here")


def samples(app):
    return parse(app.test_client().get("/metrics").text)


def count(found, **labels):
    return found.value(f"{DURATION}_count", **labels)


def sent(seconds_ago):
    return {"X-Request-Start": f"t={time.time() - seconds_ago:.6f}"}


def test_the_ladder_can_be_believed():
    """Edges grow by at most 1.2 from 1 ms to 30 s, and the objective is one of them."""
    assert (BUCKETS[0], BUCKETS[-1]) == (0.001, 30.0)
    assert 0.45 in BUCKETS
    assert max(high / low for low, high in itertools.pairwise(BUCKETS)) < 1.21


def test_the_ladder_is_a_parameter(app):
    """Of both histograms."""
    instrument(app, buckets=(0.1, 1.0))
    add_routes(app)

    app.test_client().get("/items/1", headers=sent(0.5))

    found = samples(app)
    edges = {dict(labels)["le"] for (name, labels) in found if name.endswith("_bucket")}
    assert edges == {"0.1", "1.0", "+Inf"}
    assert found.total(f"{DURATION}_bucket", le="0.1") == 1
    assert found.total(f"{QUEUE}_bucket", le="0.1") == 0
    assert found.total(f"{QUEUE}_bucket", le="1.0") == 1


def test_the_arbiter_loads_no_flask():
    """Its workers do, after gevent has patched what it imports; and gunicorn is no requirement."""
    program = (
        "import sys, swarmscope.server.gunicorn; print({*sys.modules} & {'flask', 'gunicorn'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout == b"set()\n"


def test_requests_are_grouped_by_rule(app):
    """A rule's requests share a series, whatever their paths, with the exporter's names."""
    instrument(app)
    add_routes(app)
    client = app.test_client()

    for number in (1, 2, 404):
        client.get(f"/items/{number}")
    client.head("/items/1")
    client.options("/items/1")

    found = samples(app)
    rule = "/items/<int:number>"
    assert count(found, method="GET", status="200", url_rule=rule) == 2
    assert count(found, method="GET", status="404", url_rule=rule) == 1
    assert count(found, method="HEAD", status="200", url_rule=rule) == 1
    assert count(found, method="OPTIONS", status="200", url_rule=rule) == 1
    assert found.value(TOTAL, method="GET", status="200") == 2
    assert found.total(TOTAL) == 5
    assert found.value("flask_exporter_info", version="0.23.2") == 1


def test_hostile_requests_cannot_grow_series(app):
    """Unknown paths and invented methods end up under constant labels."""
    instrument(app)
    add_routes(app)
    client = app.test_client()
    client.get("/nowhere")
    client.open("/items/1", method="BREW")
    before = len(samples(app))

    for number in range(200):
        client.get(f"/nowhere/{number}?x={number}", headers={"Host": f"h{number}"})
        client.open("/items/1", method=f"BREW{number}")

    found = samples(app)
    assert len(found) == before
    assert count(found, method="GET", status="404", url_rule="unmatched") == 201
    assert count(found, method="OTHER", status="405", url_rule="unmatched") == 201


def test_the_app_part_is_the_time_until_the_response_object_exists(app):
    """A stream's body comes after its headers, so it is not in ``app``."""
    instrument(app)

    @app.get("/stream")
    def stream():
        time.sleep(0.05)

        def body():
            yield "a"
            time.sleep(0.2)
            yield "b"

        return Response(body())

    response = app.test_client().get("/stream", headers=sent(0.3))

    assert response.text == "ab"
    queue_ms, app_ms = map(float, TIMING.fullmatch(response.headers["Server-Timing"]).groups())
    assert 300 <= queue_ms < 400
    assert 50 <= app_ms < 150
    found = samples(app)
    assert found.total(f"{DURATION}_sum") == pytest.approx(app_ms / 1000, abs=1e-6)
    assert found.value(f"{QUEUE}_sum", url_rule="/stream") == pytest.approx(
        queue_ms / 1000, abs=1e-6
    )
    assert found.value(f"{QUEUE}_bucket", url_rule="/stream", le="0.41") == 1
    assert found.value(f"{QUEUE}_bucket", url_rule="/stream", le="0.285") == 0


@pytest.mark.parametrize("path", ["/items/1", "/items/404", "/nowhere", "/boom"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_every_response_says_what_it_took(app, path, method):
    """Errors too; without a start time there is no queue to speak of."""
    instrument(app)
    add_routes(app)

    response = app.test_client().open(path, method=method)

    queue_ms, app_ms = TIMING.fullmatch(response.headers["Server-Timing"]).groups()
    assert queue_ms is None
    assert 0 <= float(app_ms) < 5000
    assert f"{QUEUE}_count" not in {name for name, _ in samples(app)}


def test_the_apps_own_server_timing_stays(app):
    """Ours is added, nothing is replaced."""
    instrument(app)

    @app.get("/")
    def index():
        return "", {"Server-Timing": "db;dur=3"}

    first, second = app.test_client().get("/").headers.getlist("Server-Timing")

    assert first == "db;dur=3"
    assert TIMING.fullmatch(second)


def test_an_exception_is_a_500(app):
    """It is counted once in each metric, with the rule that was matched."""
    instrument(app)
    add_routes(app)

    assert app.test_client().get("/boom").status_code == 500

    found = samples(app)
    assert count(found, method="GET", status="500", url_rule="/boom") == 1
    assert found.value(TOTAL, method="GET", status="500") == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.value(IN_FLIGHT) == 0


def test_an_exception_that_leaves_the_app_is_a_500(app):
    """The server answers it so: with PROPAGATE_EXCEPTIONS, and for what is no Exception."""
    instrument(app)
    add_routes(app)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/exit")
    def leave():
        raise SystemExit(1)  # as gunicorn does in a worker that takes too long

    with pytest.raises(LookupError):
        app.test_client().get("/boom")
    with pytest.raises(SystemExit):
        app.test_client().get("/exit")

    found = samples(app)
    assert count(found, method="GET", status="500", url_rule="/boom") == 1
    assert count(found, method="GET", status="500", url_rule="/exit") == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 2
    assert found.value(IN_FLIGHT) == 0


def test_an_exception_in_teardown_is_a_500(app):
    """The response object was fine, but the client gets the server's 500 instead."""
    instrument(app)
    add_routes(app)

    @app.teardown_request
    def tear_down(error):
        raise RuntimeError("cannot clean up")

    with pytest.raises(RuntimeError):
        app.test_client().get("/items/1")

    app.teardown_request_funcs.clear()
    found = samples(app)
    assert count(found, method="GET", status="500", url_rule="/items/<int:number>") == 1
    assert found.total(TOTAL) == 1
    assert found.value(EXCEPTIONS, method="GET", status="500") == 1
    assert found.value(IN_FLIGHT) == 0


def test_an_error_handlers_answer_is_what_counts(app):
    """What a handler for all exceptions returns is no exception any more."""
    instrument(app)
    add_routes(app)
    app.register_error_handler(LookupError, lambda error: ("gone", 410))

    app.test_client().get("/boom")

    found = samples(app)
    assert count(found, method="GET", status="410", url_rule="/boom") == 1
    assert found.total(EXCEPTIONS) == 0


def test_in_flight_while_the_app_works_and_streams(app):
    """A stream is in flight until it is closed, also when the client goes away before its end."""
    exporter = instrument(app)

    def in_flight():
        return exporter.registry.get_sample_value(IN_FLIGHT)

    @app.get("/plain")
    def plain():
        return str(in_flight())

    @app.get("/stream")
    def stream():
        return Response(iter(["a", "b", "c"]))

    assert app.test_client().get("/plain").text == "1.0"
    assert in_flight() == 0

    response = app.test_client().get("/stream", buffered=False)
    assert next(response.response) == b"a"
    assert in_flight() == 1

    response.close()
    assert in_flight() == 0


def test_several_apps_in_one_process(app):
    """Each has metrics of its own, also one inside the other."""
    other = Flask("other")
    for one in (app, other):
        instrument(one)
        add_routes(one)
    both = DispatcherMiddleware(app.wsgi_app, {"/other": other.wsgi_app})

    Client(both).get("/items/1")
    Client(both).get("/other/items/1")
    Client(both).get("/other/items/2")

    assert samples(app).total(TOTAL) == 1
    assert samples(other).total(TOTAL) == 2


def test_one_exporter_for_several_apps(app):
    """As with ``for_app_factory``: a second app of the same factory is counted with the first."""
    exporter = instrument(app)
    other = Flask("other")

    assert instrument(other, exporter=exporter) is exporter
    for one in (app, other):
        add_routes(one)
        one.test_client().get("/items/1")

    assert samples(app).total(TOTAL) == 2


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"in_flight": False}, "parts"),
        ({"buckets": (1.0,)}, "buckets"),
        ({"group_by": "endpoint"}, "labels"),
    ],
)
def test_a_second_app_cannot_change_a_registrys_metrics(app, more, what):
    """It would silently get the first one's: the start stops, and says what to do."""
    exporter = instrument(app)
    other = Flask("other")

    with pytest.raises(ValueError, match=f"other {what}: .* a registry or an exporter of its own"):
        instrument(other, exporter=exporter, **more)


def test_an_app_is_instrumented_once(app):
    """Twice would count everything twice."""
    instrument(app)

    with pytest.raises(RuntimeError, match="service is instrumented already"):
        instrument(app)


def test_blueprints_and_method_views(app):
    """Their rules are as any other."""
    instrument(app)

    class Things(MethodView):
        def get(self, name):
            return name

        def delete(self, name):
            return "", 204

    blueprint = Blueprint("v1", __name__, url_prefix="/v1")
    blueprint.add_url_rule("/things/<name>", view_func=Things.as_view("things"))
    app.register_blueprint(blueprint)

    app.test_client().get("/v1/things/a")
    app.test_client().delete("/v1/things/a")

    found = samples(app)
    assert count(found, method="GET", status="200", url_rule="/v1/things/<name>") == 1
    assert count(found, method="DELETE", status="204", url_rule="/v1/things/<name>") == 1


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("requests", {f"{DURATION}_count", TOTAL}),
        ("queue_time", {f"{QUEUE}_count"}),
        ("in_flight", {IN_FLIGHT}),
    ],
)
def test_a_part_that_is_off_is_not_there(app, part, gone):
    """The others go on as before."""
    instrument(app, **{part: False})
    add_routes(app)

    app.test_client().get("/items/1", headers=sent(0.1))

    ours = {f"{DURATION}_count", TOTAL, f"{QUEUE}_count", IN_FLIGHT}
    assert {name for name, _ in samples(app)} & ours == ours - gone


def test_server_timing_can_be_switched_off(app):
    """The metrics stay."""
    instrument(app, server_timing=False)
    add_routes(app)

    response = app.test_client().get("/items/1")

    assert "Server-Timing" not in response.headers
    assert samples(app).total(TOTAL) == 1


def test_excluded_paths_leave_no_trace(app):
    """Neither metrics nor headers, and the endpoint itself is one of them."""
    instrument(app, exclude=("/health",), excluded_paths=r"/internal/.*")
    app.add_url_rule("/health", view_func=lambda: "ok")
    app.add_url_rule("/internal/<x>", "internal", view_func=lambda x: "ok")
    client = app.test_client()

    assert "Server-Timing" not in client.get("/health").headers
    client.get("/internal/1")
    client.get("/metrics")

    assert samples(app).total(f"{DURATION}_count") == 0


def test_the_endpoint_can_move_or_go(app):
    """`path` is where it is; the empty one is nowhere."""
    instrument(app, path="/_m")
    other = Flask("other")
    instrument(other, path="")

    assert TOTAL in app.test_client().get("/_m").text
    assert other.test_client().get("/metrics").status_code == 404


def test_metrics_made_the_ordinary_way_are_shown_too(app):
    """What libraries put into the default registry stands beside the app's, unless one is given."""
    instrument(app)
    other = Flask("other")
    instrument(other, registry=CollectorRegistry())

    assert "python_info{" in app.test_client().get("/metrics").text
    assert "python_info{" not in other.test_client().get("/metrics").text


def test_grouping_by_something_else(app):
    """A request's attribute, or a function of it; requests without a rule stay one group."""
    instrument(app, group_by="endpoint")
    add_routes(app)
    other = Flask("other")

    def first_letter(request):
        return request.endpoint[0]

    instrument(other, group_by=first_letter)
    add_routes(other)
    for one in (app, other):
        one.test_client().get("/items/1")
        one.test_client().get("/nowhere")

    assert count(samples(app), method="GET", status="200", endpoint="item") == 1
    assert count(samples(app), method="GET", status="404", endpoint="unmatched") == 1
    assert count(samples(other), method="GET", status="200", first_letter="i") == 1


def test_default_labels_of_the_exporter(app):
    """They stand on requests' metrics; one that only a response could tell is unknown without."""
    labels = {"host": "h1", "size": lambda response: response.content_length}
    instrument(app, default_labels=labels)
    add_routes(app)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    response = app.test_client().get("/items/1")
    with pytest.raises(LookupError):
        app.test_client().get("/boom")

    found = samples(app)
    size = str(response.content_length)
    assert found.value(TOTAL, method="GET", status="200", host="h1", size=size) == 1
    assert found.value(EXCEPTIONS, method="GET", status="500", host="h1", size="unknown") == 1


def test_an_option_that_would_be_ignored_is_refused(app):
    """A bad setting stops the start."""
    with pytest.raises(TypeError, match="defaults_prefix"):
        instrument(app, defaults_prefix="app")


def test_log_records_carry_the_trace_id(app, caplog):
    """In a request that came with one; records from elsewhere have an empty one."""
    instrument(app)

    @app.get("/")
    def index():
        current_app.logger.warning("inside")
        logging.getLogger("some.library").warning("inside too")
        return current_trace_id()

    response = app.test_client().get("/", headers={"traceparent": TRACEPARENT})
    app.test_client().get("/", headers={"traceparent": "nonsense"})
    logging.getLogger("some.library").warning("outside")

    assert response.text == TRACE
    assert [record.trace_id for record in caplog.records] == [TRACE, TRACE, "", "", ""]


def test_a_log_record_may_bring_a_trace_id_of_its_own(app, caplog):
    """The app's own stays: a logger refuses names that a record has already."""
    instrument(app)

    @app.get("/")
    def index():
        current_app.logger.warning("mine", extra={"trace_id": "mine", "other": 1})
        return ""

    assert app.test_client().get("/", headers={"traceparent": TRACEPARENT}).status_code == 200
    assert [(record.trace_id, record.other) for record in caplog.records] == [("mine", 1)]


def test_a_middleware_may_answer_instead_of_the_app(app):
    """One that was wrapped around the app before it was instrumented."""
    inner = app.wsgi_app

    def closed(environ, start_response):
        if environ["PATH_INFO"] == "/closed":
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        return inner(environ, start_response)

    app.wsgi_app = closed
    instrument(app)

    assert app.test_client().get("/closed").status_code == 503

    assert count(samples(app), method="GET", status="503", url_rule="unmatched") == 1


def test_a_middleware_may_call_the_app_when_its_body_is_read(app):
    """As WSGI allows: it is counted once its answer stands, and a failure is a 500."""
    inner = app.wsgi_app

    def late(environ, start_response):
        yield from inner(environ, start_response)

    app.wsgi_app = late
    exporter = instrument(app)
    add_routes(app)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    client = app.test_client()

    response = client.get("/items/1")
    assert TIMING.fullmatch(response.headers["Server-Timing"])
    response.close()
    broken = app.wsgi_app(create_environ("/boom"), lambda *_: None)
    with pytest.raises(LookupError):
        next(iter(broken))
    broken.close()

    def counted(name, **labels):
        return exporter.registry.get_sample_value(name, labels)

    rule = "/items/<int:number>"
    assert counted(f"{DURATION}_count", method="GET", status="200", url_rule=rule) == 1
    assert counted(f"{DURATION}_count", method="GET", status="500", url_rule="/boom") == 1
    assert counted(EXCEPTIONS, method="GET", status="500") == 1
    assert counted(IN_FLIGHT) == 0


def test_a_middleware_may_give_the_app_a_copy_of_the_environment(app):
    """Rule, exception and labels are found all the same."""
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: inner(dict(environ), start_response)
    instrument(app, default_labels={"size": lambda response: response.content_length})
    add_routes(app)
    rule = "/items/<int:number>"

    size = app.test_client().get("/items/1").headers["Content-Length"]
    app.test_client().get("/boom")

    found = samples(app)
    assert count(found, method="GET", status="200", url_rule=rule, size=size) == 1
    assert found.total(f"{DURATION}_count", status="500", url_rule="/boom") == 1
    assert found.total(EXCEPTIONS) == 1


def test_a_group_that_cannot_be_told_costs_no_answer(app, caplog):
    """Its requests have a constant label, and one line in the log says why."""

    def group(request):
        return request.view_args["missing"]

    instrument(app, group_by=group)
    add_routes(app)

    answers = {app.test_client().get(f"/items/{number}").status_code for number in range(3)}

    assert answers == {200}
    assert count(samples(app), method="GET", status="200", group="ungrouped") == 3
    assert caplog.text.count("group_by failed") == 1
    assert "KeyError: 'missing'" in caplog.text


class Wrapper:
    """A server's own wrapper of files."""

    def __init__(self, file, size=8192):
        self.file = file
        self.close = file.close

    def __iter__(self):
        return iter(self.file)


@pytest.mark.parametrize("kind", ["generator", "file", "whole"])
def test_a_stream_of_known_length_is_in_flight(app, tmp_path, kind):
    """Until it is closed; a file goes to the server as the server's own wrapper."""
    exporter = instrument(app)
    (tmp_path / "file").write_bytes(b"ab")

    @app.get("/")
    def index():
        if kind == "file":
            return send_file(tmp_path / "file")
        body = iter(["a", "b"]) if kind == "generator" else "ab"
        return Response(body, headers={"Content-Length": "2"})

    def in_flight():
        return exporter.registry.get_sample_value(IN_FLIGHT)

    environ = create_environ("/") | {"wsgi.file_wrapper": Wrapper}
    body = app.wsgi_app(environ, lambda *_: None)

    assert in_flight() == (kind != "whole")
    assert isinstance(body, Wrapper) == (kind == "file")
    assert b"".join(body) == b"ab"
    body.close()
    assert in_flight() == 0


def test_a_stream_whose_closing_fails_is_in_flight_no_more(app):
    """Whatever a callback of the app's raises."""
    exporter = instrument(app)

    @app.get("/stream")
    def stream():
        response = Response(iter(["a", "b"]))
        response.call_on_close(lambda: [].pop())
        return response

    response = app.test_client().get("/stream", buffered=False)
    with pytest.raises(IndexError):
        response.close()

    assert exporter.registry.get_sample_value(IN_FLIGHT) == 0


def test_the_root_of_a_mounted_app_is_measured(app):
    """Its path is empty, and so is that of an endpoint that is nowhere."""
    instrument(app, path="")
    app.add_url_rule("/", view_func=lambda: "ok")
    mounted = Client(DispatcherMiddleware(Flask("outer"), {"/inner": app.wsgi_app}))

    assert "Server-Timing" in mounted.get("/inner").headers


def test_counts_are_exact_under_threads(app):
    """No request is lost or counted twice."""
    instrument(app)
    add_routes(app)

    def send():
        client = app.test_client()
        for number in range(200):
            client.get(f"/items/{number}", headers=sent(0))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = samples(app)
    assert found.total(TOTAL) == found.total(f"{DURATION}_count") == 800
    assert found.total(f"{QUEUE}_count") == 800
    assert found.value(IN_FLIGHT) == 0
