"""What became of a request that has no plain answer: it raised, or it was a websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SERVER_ERROR = "500"

_LEAVES_DISPATCH = getattr(Flask.wsgi_app, "__code__", None)


class Raised(NamedTuple):
    """What a request raised, and the request, which the app lets go of when it fails."""

    request: Any
    exception: BaseException | None = None
    unhandled: bool = True  # no handler of the app's made an answer of it

    def failed(self, status: str) -> bool:
        """Return whether the request ended in an exception, *status* being its answer's.

        Flask signals what no handler caught. Flask-RESTful and RESTX signal whatever they answer,
        HTTP exceptions and those with handlers included: there the answer decides.
        """
        if self.unhandled:
            return True
        meant = isinstance(self.exception, HTTPException) and str(self.exception.code) == status
        return status >= SERVER_ERROR and not meant


def raised(request: Any, exception: BaseException | None) -> Raised:
    """Return what Flask's signal ``got_request_exception`` says of *request*.

    What leaves the app's dispatching was caught by `Flask.wsgi_app`, where its traceback begins.
    """
    traceback = exception.__traceback__ if exception else None
    caught_in = traceback.tb_frame.f_code if traceback else None
    return Raised(request, exception, caught_in in (None, _LEAVES_DISPATCH))


def asks_for_websocket(environ: WSGIEnvironment) -> bool:
    """Return whether the client asks to speak websocket from now on (RFC 6455, section 4.1)."""
    return bool(environ.get("HTTP_UPGRADE", "").lower() == "websocket")


def became_websocket(request: Any, status: str, error: BaseException | None) -> bool:
    """Return whether a request for a websocket got one, now that it has ended.

    The app takes the connection over and answers nothing: to end, it raises StopIteration
    (gunicorn) or ConnectionError (werkzeug), or returns an empty body (gevent). Flask-Sock returns
    a response under werkzeug's server: its rule is then one for websockets.
    """
    if not status:
        return error is None or isinstance(error, StopIteration | ConnectionError)
    return status == "200" and getattr(getattr(request, "url_rule", None), "websocket", False)
