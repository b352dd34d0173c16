"""The metrics of an app: what is counted, and under which labels."""

import itertools
import threading

import pytest
from flask import Blueprint
from flask.views import MethodView
from support.instrumented import (
    DURATION,
    EXCEPTIONS,
    IN_FLIGHT,
    QUEUE,
    TOTAL,
    add_routes,
    count,
    samples,
    sent,
)

from swarmscope.server import BUCKETS, instrument


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
