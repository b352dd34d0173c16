"""OpenTelemetry's auto-instrumentation of the same app, set up before or after `instrument`.

Its spans are what they are without us, our components what they are without it, and calls carry its
`traceparent`.
"""

from __future__ import annotations

import sqlite3
import time

import psycopg
import pytest
import requests
import sqlalchemy
from flask import Flask
from support.server_timing import calls, timing

from swarmscope.server import instrument, measured_connect
from swarmscope.server.components.measuring import HOOKS

pytest.importorskip("opentelemetry.instrumentation.flask")


@pytest.fixture(name="spans")
def _spans():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    return InMemorySpanExporter()


@pytest.fixture(name="provider")
def _provider(spans):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


@pytest.fixture(name="trace")
def _trace(provider):
    """A function that sets OpenTelemetry up for an app and an engine; undone with the test."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    stock = vars(psycopg.Connection)["connect"]
    used = [PsycopgInstrumentor(), RequestsInstrumentor(), SQLAlchemyInstrumentor()]

    def trace(app: Flask, engine: sqlalchemy.Engine) -> None:
        FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
        used[0].instrument(tracer_provider=provider)
        used[1].instrument(tracer_provider=provider)
        used[2].instrument(engine=engine, tracer_provider=provider, skip_dep_check=True)  # 2.1, too

    yield trace
    HOOKS.undo()  # where ours are the outer ones, OpenTelemetry would leave its own
    for one in used:
        one.uninstrument()
    psycopg.Connection.connect = (
        stock  # else it would stay bound to this class: no subclass connects
    )


@pytest.fixture(name="engine")
def _engine():
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)

    @sqlalchemy.event.listens_for(engine, "connect")
    def add_function(connection: sqlite3.Connection, _: object) -> None:
        connection.create_function("slow", 1, lambda ms: time.sleep(ms / 1000))

    return engine


def add_view(app: Flask, engine: sqlalchemy.Engine, url: str, database: str) -> None:
    statement = sqlalchemy.text("SELECT slow(20) UNION ALL SELECT slow(20)")
    connect = measured_connect(psycopg)

    @app.get("/orders/<int:number>")
    def orders(number: int) -> str:
        with engine.connect() as connection:
            assert len(connection.execute(statement).all()) == 2
        with connect(database) as connection:
            connection.execute("SELECT pg_sleep(0.02)")
        return requests.get(f"{url}/?ms=30", timeout=5).text


@pytest.mark.parametrize("order", ["ours first", "ours last"])
def test_both_are_right(app, engine, spans, trace, called, empty_database, order):
    """The spans of a request and of its calls, in one trace; our components and our counts."""
    add_view(app, engine, called.url, empty_database)
    steps = [lambda: instrument(app), lambda: trace(app, engine)]
    for step in steps if order == "ours first" else reversed(steps):
        step()
    client = app.test_client()
    client.get("/orders/0")
    spans.clear()
    called.headers.clear()

    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    response = client.get("/orders/7", headers={"traceparent": parent})

    assert response.text == "ok"
    found = spans.get_finished_spans()
    (server,) = [span for span in found if span.name == "GET /orders/<int:number>"]
    (sent,) = [span for span in found if span.name == "GET"]
    assert {f"{span.context.trace_id:032x}" for span in found} == {"a" * 32}
    assert server.attributes["http.status_code"] == sent.attributes["http.status_code"] == 200
    assert f"{server.parent.span_id:016x}" == "b" * 16
    statements = [span for span in found if span.attributes.get("db.statement")]
    assert [span.attributes["db.statement"] for span in statements] == [
        "SELECT slow(20) UNION ALL SELECT slow(20)",
        "SELECT pg_sleep(0.02)",
    ]
    for span in (*statements, sent):
        assert span.parent.span_id == server.context.span_id
    (headers,) = called.headers
    assert headers["traceparent"] == f"00-{'a' * 32}-{sent.context.span_id:016x}-01"
    assert "x-request-start" in headers
    parts = timing(response)
    assert calls(response) == {"db": 2, "http": 1}
    assert parts["db"] >= 60
    assert parts["http"] >= 30
    assert parts["cpu"] + parts["db"] + parts["http"] <= parts["app"]
