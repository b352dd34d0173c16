"""Every error is the same JSON object: ``error``, its name, and ``message``, the reason."""

from __future__ import annotations

import logging

import msgspec
from flask import Flask, Response
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError
from werkzeug.exceptions import HTTPException, ServiceUnavailable

log = logging.getLogger(__name__)


class Error(msgspec.Struct):
    """What went wrong."""

    error: str
    message: str


def init_app(app: Flask) -> None:
    """Answer every error of *app* as JSON, those that werkzeug raises too."""
    app.register_error_handler(HTTPException, answer)
    for kind in (InterfaceError, OperationalError, TimeoutError):
        app.register_error_handler(kind, answer_without_database)


def answer(error: HTTPException) -> Response:
    """Return *error* with its own status and headers (``Allow``, ``Retry-After``), as JSON."""
    response = Response(status=error.code)
    for name, text in error.get_headers():
        if name != "Content-Type":
            response.headers.add(name, text)
    body = Error(error.name, error.description or error.name)
    response.data = msgspec.json.encode(body)
    response.mimetype = "application/json"
    return response


def answer_without_database(error: SQLAlchemyError) -> Response:
    """Return 503: the client may try again, and the log says what the database said."""
    log.error("the database is away: %s", getattr(error, "orig", error))
    return answer(ServiceUnavailable("the database is away; try again"))
