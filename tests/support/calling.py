"""The sample service, which asks another one and a cache before it says that a page is missing."""

import os

import redis
import requests
from flask import request

import api


def create_app():
    """Build the sample; it asks ``CALLED_URL``, and a cache at the port ``CACHE_PORT``."""
    app = api.create_app()
    session = requests.Session()
    cache = redis.Redis(port=int(os.environ["CACHE_PORT"]), protocol=2)

    @app.before_request
    def ask() -> None:
        if request.path == "/missing":
            cache.get("missing")
            session.get(os.environ["CALLED_URL"], timeout=10)

    return app
