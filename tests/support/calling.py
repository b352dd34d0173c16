"""The sample service, which asks another one before it says that a page is missing."""

import os

import requests
from flask import request

import api


def create_app():
    """Build the sample; ``CALLED_URL`` is what it asks."""
    app = api.create_app()
    session = requests.Session()

    @app.before_request
    def ask() -> None:
        if request.path == "/missing":
            session.get(os.environ["CALLED_URL"], timeout=10)

    return app
