"""Keeps prometheus-flask-exporter's default metrics from counting a request a second time."""

from __future__ import annotations

import functools
import logging
from typing import Any

from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

from swarmscope.server.metrics import FAMILIES

EXTENSION = "swarmscope"  # key in `Flask.extensions` of an instrumented app
ENDPOINT = "prometheus_metrics"  # the exporter's name for its view

logger = logging.getLogger(__name__)


def is_measured(app: Flask) -> bool:
    """Return whether *app* is instrumented, even if something was wrapped around it since."""
    return EXTENSION in app.extensions


def replace_exporter(app: Flask) -> None:
    """Remove the hooks of an exporter that already measures *app*."""
    found = False
    for hooks in (app.after_request_funcs, app.teardown_request_funcs):
        kept = [hook for hook in hooks.get(None, ()) if not _counts_requests(hook)]
        found |= len(kept) < len(hooks.get(None, ()))
        hooks[None] = kept
    if found:
        _warn(app)


def silence_later_exporters() -> None:
    """Make exporters that are created later leave an instrumented app's default metrics alone."""
    stock = PrometheusMetrics.init_app
    if hasattr(stock, "__wrapped__"):
        return

    @functools.wraps(stock)
    def init_app(exporter: Any, app: Flask) -> None:
        if not is_measured(app) or not exporter._export_defaults:
            stock(exporter, app)
            return
        if exporter.path and ENDPOINT not in app.view_functions:
            exporter.register_endpoint(exporter.path, app)
        _warn(app)

    PrometheusMetrics.init_app = init_app


def _counts_requests(hook: Any) -> bool:
    cells = getattr(hook, "__closure__", None) or ()
    return any(getattr(cell.cell_contents, "_name", None) in FAMILIES for cell in cells)


def _warn(app: Flask) -> None:
    logger.warning(
        "PrometheusMetrics and instrument() both measure %s: only instrument() provides the default"
        " metrics, so that no request is counted twice",
        app.name,
    )
