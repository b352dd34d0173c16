"""Prometheus's targets: Locust, and the apps that serve metrics."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from swarmscope.stack.layout import Home
from swarmscope.stack.project import App
from swarmscope.stack.settings import LOOPBACK, StackSettings

CONNECT_S = 1.0


def write_targets(settings: StackSettings, home: Home, serving: Collection[str] = ()) -> None:
    """Write the file of targets; *serving* names the commands that turned out to serve metrics."""
    targets = [
        _target(app.name, app.metrics or f"{LOOPBACK}:{app.metrics_port}")
        for app in settings.apps
        if app.metrics or ("app" in settings.only and (app.wsgi or app.name in serving))
    ]
    if "locust" in settings.only:
        targets.append(_target("locust", f"{LOOPBACK}:{settings.ports['LOCUST_METRICS_PORT']}"))
    path = home / "prometheus/targets/swarmscope.json"
    path.write_text(json.dumps(targets, indent=2) + "\n")


def _target(job: str, address: str) -> dict[str, object]:
    """Return the target at *address*, ``HOST:PORT`` or a URL."""
    labels = {"job": job}
    if "://" in address:
        scheme, address, path, *_ = urlsplit(address)
        labels["__scheme__"] = scheme
        if path.strip("/"):
            labels["__metrics_path__"] = path
    return {"targets": [address], "labels": labels}


def unannounced(settings: StackSettings) -> list[App]:
    """Return the commands of which only the metrics port can say whether they serve metrics."""
    started = settings.apps if "app" in settings.only else ()
    return [app for app in started if app.command and app.listens and not app.metrics]


def serves_metrics(app: App) -> bool:
    """Return whether anything listens at the app's metrics port."""
    try:
        with socket.create_connection((LOOPBACK, app.metrics_port or 0), timeout=CONNECT_S):
            return True
    except OSError:
        return False
