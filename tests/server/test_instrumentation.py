"""The parameters of `instrument`, and several apps in one process."""

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from support.instrumented import (
    DURATION,
    TOTAL,
    add_routes,
    count,
    samples,
)
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from swarmscope.server import instrument


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
        ({"in_flight": False}, "switches"),
        ({"buckets": (1.0,)}, "buckets"),
        ({"group_by": "endpoint"}, "labels"),
    ],
)
def test_a_second_app_cannot_change_a_registrys_metrics(app, more, what):
    """It would silently get the first one's: the start stops, and says what to do."""
    exporter = instrument(app)
    other = Flask("other")

    with pytest.raises(ValueError, match=f"other {what}: .* a registry or an exporter for each"):
        instrument(other, exporter=exporter, **more)


def test_an_app_is_instrumented_once(app):
    """Twice would count everything twice."""
    instrument(app)

    with pytest.raises(RuntimeError, match="service is already instrumented"):
        instrument(app)


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


def test_an_option_that_would_be_ignored_is_refused(app):
    """A bad setting stops the start."""
    with pytest.raises(TypeError, match="defaults_prefix"):
        instrument(app, defaults_prefix="app")


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
