"""The sample API with the stock exporter in place of ours."""

from __future__ import annotations

from flask import Flask
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

import swarmscope.server
from api import create_app as create_our_app


def _export(app: Flask, exclude: tuple[str, ...] = ()) -> None:
    GunicornPrometheusMetrics(app, group_by="url_rule", excluded_paths=list(exclude))


def create_app() -> Flask:
    """Build the API; it is instrumented by name, which is another's here."""
    swarmscope.server.instrument = _export  # type: ignore[assignment]
    return create_our_app()
