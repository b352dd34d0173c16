"""The exporter's own default metrics beside ours: both have the same names, and one is enough."""

from __future__ import annotations

import functools
import logging
from typing import Any

from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

from swarmscope.server.metrics import FAMILIES

EXTENSION = "swarmscope"  # among `Flask.extensions`: the app is measured
ENDPOINT = "prometheus_metrics"  # what the exporter calls its view

logger = logging.getLogger(__name__)


def is_measured(app: Flask) -> bool:
    """Return whether *app* is instrumented, whatever has been wrapped around it since."""
    return EXTENSION in app.extensions


def take_over(app: Flask) -> None:
    """Take the place of an exporter that measures *app* already: its hooks and its endpoint."""
    found = False
    for hooks in (app.after_request_funcs, app.teardown_request_funcs):
        ours = [hook for hook in hooks.get(None, ()) if not _counts_as_we_do(hook)]
        found |= len(ours) < len(hooks.get(None, ()))
        hooks[None] = ours
    if found:
        app.view_functions.pop(ENDPOINT, None)
        _say(app)


def stay_alone() -> None:
    """Let an exporter that is made for an app of ours later on leave the default metrics to us."""
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
        _say(app)

    PrometheusMetrics.init_app = init_app


def _counts_as_we_do(hook: Any) -> bool:
    cells = getattr(hook, "__closure__", None) or ()
    return any(getattr(cell.cell_contents, "_name", None) in FAMILIES for cell in cells)


def _say(app: Flask) -> None:
    logger.warning(
        "PrometheusMetrics and instrument() both measure %s: its default metrics are instrument()'s"
        " alone, so that no request counts twice",
        app.name,
    )
