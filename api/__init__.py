"""The service under test: a list of software testing types, as a small JSON API."""

from __future__ import annotations

import contextlib

from flask import Flask

from api.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Create the API from *settings*, by default those of the environment.

    Raises ValueError for a bad setting. If the database is unreachable, the API starts all the same
    and responds with 503 until it is back.
    """
    # Imported here, as gunicorn.conf.py imports this package into the arbiter: a reload must load
    # new code, and gevent must patch before the database driver is imported.
    from api import errors, health, openapi, testing_types
    from api.storage import Storage, Unavailable
    from swarmscope.server import instrument

    app = Flask(__name__, static_folder=None)
    # One more, as werkzeug silently truncates a body of unknown length there.
    app.config["MAX_CONTENT_LENGTH"] = testing_types.BODY_LIMIT_BYTES + 1
    app.url_map.merge_slashes = False  # a redirect would have an HTML body
    settings = settings or Settings.from_environment()
    app.extensions["storage"] = storage = Storage(settings.database_url)
    with contextlib.suppress(Unavailable):  # already logged
        storage.prepare()
    errors.init_app(app)
    app.register_blueprint(testing_types.bp)
    app.register_blueprint(health.bp)
    app.register_blueprint(openapi.bp)
    instrument(app, exclude=("/health", "/health/ready"))
    return app
