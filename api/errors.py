"""Every error is the same JSON object: ``error``, its name, and ``message``, the reason."""

from __future__ import annotations

import msgspec
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from api.storage import Unavailable


class Error(msgspec.Struct):
    """The body of an error response."""

    error: str
    message: str


def init_app(app: Flask) -> None:
    """Respond to every error of *app* with JSON, also to those that werkzeug raises."""
    app.register_error_handler(HTTPException, respond)
    app.register_error_handler(Unavailable, respond_without_database)


def respond(error: HTTPException) -> Response:
    """Return *error* with its own status and headers (``Allow``, ``Retry-After``), as JSON."""
    response = Response(status=error.code)
    for name, text in error.get_headers():
        if name != "Content-Type":
            response.headers.add(name, text)
    body = Error(error.name, error.description or error.name)
    response.data = msgspec.json.encode(body) + b"\n"
    response.mimetype = "application/json"
    return response


def respond_without_database(error: Unavailable) -> Response:
    """Return 503: the client may try again."""
    return respond(ServiceUnavailable(str(error)))
