"""A Flask app whose endpoints take a known time: ``/5``, ``/50`` and ``/500`` milliseconds."""

import time

from flask import Flask

from swarmscope.server import instrument

WORK_MS = (5, 50, 500)


def create_app() -> Flask:
    """Build the app, instrumented as any user's would be."""
    app = Flask(__name__)
    instrument(app)
    for work_ms in WORK_MS:
        app.add_url_rule(f"/{work_ms}", f"work_{work_ms}", _worker(work_ms))
    return app


def _worker(work_ms: int):
    def work() -> str:
        time.sleep(work_ms / 1000)
        return "done\n"

    return work
