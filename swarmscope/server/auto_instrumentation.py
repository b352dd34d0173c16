"""Measures the Flask apps of a gunicorn worker whose code does not call `instrument`."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from flask import Flask

from swarmscope.server.app_search import FoundApps, Replace, find_apps, live_apps
from swarmscope.server.exporter_defaults import is_measured
from swarmscope.server.instrumentation import instrument


def instrument_apps_of(worker: Any) -> list[Flask]:
    """Measure the apps behind a gunicorn worker's ``wsgi``; return those that are measured.

    An app that its own code instruments stays as it is, and so does one in which another such app
    is mounted: its requests would count twice. Where no app can be found by following references,
    the only Flask app of the process is taken to be the one that is served.
    """
    replace = functools.partial(setattr, worker, "wsgi")
    found = find_apps(worker.wsgi, replace)
    if not found:
        apps = live_apps()
        if len(apps) != 1:
            return []
        if not is_measured(apps[0]):
            _measure_around(worker.wsgi, apps[0], [replace])
        return apps
    for app in found.called:
        if not _is_or_holds_measured(app):
            instrument(app)
    for app, replaces in found.bypassed.items():
        if not is_measured(app):
            _measure_around(None, app, replaces)
    return [*found.called, *found.bypassed]


def _measure_around(wsgi: Any, app: Flask, replaces: Iterable[Replace]) -> None:
    """Measure *app* by a middleware around *wsgi*, which is put where *replaces* say.

    By default *wsgi* is the app's own method, without what is wrapped around it.
    """
    wrapped = vars(app).pop("wsgi_app", None)
    if wsgi is not None:
        app.wsgi_app = wsgi  # type: ignore[method-assign]
    instrument(app)
    middleware = vars(app).pop("wsgi_app")
    if wrapped is not None:
        app.wsgi_app = wrapped  # type: ignore[method-assign]
    for replace in replaces:
        replace(middleware)


def _is_or_holds_measured(app: Flask) -> bool:
    if is_measured(app):
        return True
    held = FoundApps()
    held.visit(vars(app).get("wsgi_app"))
    return any(is_measured(inner) for inner in [*held.called, *held.bypassed] if inner is not app)
