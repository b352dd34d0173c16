"""The outcome of a request without a plain response: it raised, or became a websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SERVER_ERROR = "500"

_LEAVES_DISPATCH = getattr(Flask.wsgi_app, "__code__", None)


class RaisedException(NamedTuple):
    """An exception and its request, which the app drops when it fails."""

    request: Any
    exception: BaseException | None = None
    unhandled: bool = True  # no handler of the app turned it into a response

    def failed(self, status: str) -> bool:
        """Return whether the request ended in an exception, given its response's *status*.

        Flask signals what no handler caught. Flask-RESTful and RESTX signal every exception, also
        HTTP exceptions and handled ones: there the response decides.
        """
        if self.unhandled:
            return True
        meant = isinstance(self.exception, HTTPException) and str(self.exception.code) == status
        return status >= SERVER_ERROR and not meant


def raised(request: Any, exception: BaseException | None) -> RaisedException:
    """Return the exception of *request* that the signal ``got_request_exception`` reports.

    The traceback of an unhandled one begins in `Flask.wsgi_app`, which caught it.
    """
    traceback = exception.__traceback__ if exception else None
    caught_in = traceback.tb_frame.f_code if traceback else None
    return RaisedException(request, exception, caught_in in (None, _LEAVES_DISPATCH))


def asks_for_websocket(environ: WSGIEnvironment) -> bool:
    """Return whether the client asks for a websocket (RFC 6455, section 4.1)."""
    return bool(environ.get("HTTP_UPGRADE", "").lower() == "websocket")


def became_websocket(request: Any, status: str, error: BaseException | None) -> bool:
    """Return whether a request for a websocket got one, now that it has ended.

    The app takes the connection over and sends no response: to end, it raises StopIteration
    (gunicorn) or ConnectionError (werkzeug), or returns an empty body (gevent). Flask-Sock returns
    a response under werkzeug's server: its rule is then one for websockets.
    """
    if not status:
        return error is None or isinstance(error, StopIteration | ConnectionError)
    return status == "200" and getattr(getattr(request, "url_rule", None), "websocket", False)
