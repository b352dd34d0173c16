"""OpenTelemetry's auto-instrumentation of a Flask app, as its documentation sets it up.

Spans go through the batch processor to an exporter that drops them, metrics are collected every
10 s: what a collector and the way to it cost comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Flask

INTERVAL_MS = 10_000


def instrument(app: Flask, engine: Any) -> None:
    """Trace and meter the requests of *app* and the queries of *engine*, a SQLAlchemy engine."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    providers = {"tracer_provider": _tracer_provider(), "meter_provider": _meter_provider()}
    FlaskInstrumentor().instrument_app(app, **providers)
    SQLAlchemyInstrumentor().instrument(engine=engine, skip_dep_check=True, **providers)  # 2.1, too


def _tracer_provider() -> Any:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Dropped(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropped()))
    return provider


def _meter_provider() -> Any:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import (
        MetricExporter,
        MetricExportResult,
        PeriodicExportingMetricReader,
    )

    class Dropped(MetricExporter):
        def export(self, *_: Any, **__: Any) -> MetricExportResult:
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis: float = 0) -> bool:
            return True

        def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
            """There is nothing to end."""

    reader = PeriodicExportingMetricReader(Dropped(), export_interval_millis=INTERVAL_MS)
    return MeterProvider([reader])
