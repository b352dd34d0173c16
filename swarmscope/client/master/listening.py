"""Whether a master still listens to its workers, for health checks and metrics.

/health    in Locust's UI: 200, or 503 with a sentence, as JSON
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response
from locust.env import Environment
from locust.runners import MasterRunner, Runner

HEALTHY = "listening"
DEAF = "the master no longer listens to its workers: restart it"


def to_workers(runner: MasterRunner) -> bool:
    """Return whether the greenlets that listen to workers, and repair the connection, are alive."""
    alive = [getattr(greenlet, "_run", None) for greenlet in runner.greenlet if not greenlet.dead]
    return runner.client_listener in alive and runner.heartbeat_worker in alive


def attach(environment: Environment) -> None:
    """Add the check to Locust's UI, if there is one; it needs no login and returns nothing else."""
    if environment.web_ui is None:
        return
    app: Any = environment.web_ui.app
    routes = Blueprint("health", __name__, url_prefix=app.blueprints["locust"].url_prefix)

    @routes.get("/health")
    def health() -> Response:
        healthy = listens(environment.runner)
        body = msgspec.json.encode({"status": HEALTHY if healthy else DEAF})
        return Response(body, 200 if healthy else 503, content_type="application/json")

    app.register_blueprint(routes)


def listens(runner: Runner | None) -> bool:
    """Return whether *runner* receives reports of its users; one without workers always does."""
    return not isinstance(runner, MasterRunner) or to_workers(runner)
