"""Protects Locust's UI from other web pages, against which it has no defence of its own.

Locust answers requests from any origin, under any name and in any frame, and a form sent to
``/swarm`` may overwrite any option.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Collection, Iterable
from typing import Any

from locust.argument_parser import ui_extra_args_dict
from locust.env import Environment

from swarmscope.client.web import forms
from swarmscope.client.web.allowed_hosts import AllowedHosts, Place, is_address, origin_of, place_of
from swarmscope.client.web.forms import Refusal

logger = logging.getLogger(__name__)

READING = {"GET", "HEAD", "OPTIONS"}
CHANGING = ("/stop", "/stats/reset")  # Locust before 2.47 does so for GET, too
CHANGEABLE = {
    "user_count",
    "spawn_rate",
    "host",
    "run_time",
    "profile",
    "user_classes",
    "shape_class",
}
NO_FRAMES = [("Content-Security-Policy", "frame-ancestors 'none'"), ("X-Frame-Options", "DENY")]

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Guard:
    """A WSGI layer around the UI: refuses requests of foreign pages, CORS, and frames."""

    def __init__(
        self,
        application: Application,
        own_names: Collection[str],
        allowed: AllowedHosts,
        check: Callable[[dict[str, Any]], Refusal | None],
    ) -> None:
        """*allowed* are names beside *own_names*; *check* judges the body of a change."""
        self._application = application
        self._own_names = own_names
        self._allowed = allowed
        self._check = check
        self._logged = False  # whether a refused read was logged

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def apart(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [h for h in headers if not _lets_others_in(h[0])]
            return start_response(status, kept + NO_FRAMES, *rest)

        reads = environ["REQUEST_METHOD"] in READING
        reads = reads and not environ.get("PATH_INFO", "").endswith(CHANGING)
        reason = self._unknown_host(environ) if reads else self._foreign(environ)
        refusal = Refusal(reason) if reason else None if reads else self._check(environ)
        if refusal:
            if not (reads and self._logged):  # an open page asks again every second
                logger.warning("Refused a request to the web UI: %s.", refusal.reason)
            self._logged |= reads
            return _refuse(apart, refusal)
        return self._application(environ, apart)

    def _unknown_host(self, environ: dict[str, Any]) -> str | None:
        """Return why the request's host is not one of the UI's, or None.

        To a browser, a page under an attacker's name that now points here has the same origin as
        the UI, and may read it (DNS rebinding). A request without a host is not a browser's.
        """
        host = environ.get("HTTP_HOST")
        if host is None:
            return None
        place = place_of(host)
        if place and (
            is_address(place.name)
            or place.name in self._own_names
            or self._allowed.know(place.name)
        ):
            return None
        return f"unknown host {host!r}{_advice(place)}"

    def _foreign(self, environ: dict[str, Any]) -> str | None:
        """Return why a request that changes something may be another site's, or None.

        Browsers name the origin of a POST; of a GET, or if their user forbids it, only the page.
        """
        if reason := self._unknown_host(environ):
            return reason
        sender: str | None = environ.get("HTTP_ORIGIN", environ.get("HTTP_REFERER"))
        if sender is not None and not self._is_own(sender, environ.get("HTTP_HOST", "")):
            place, _ = origin_of(sender) or (None, None)
            return f"origin {sender!r} is another site{_advice(place)}"
        by_get = environ["REQUEST_METHOD"] in READING  # a page can keep its origin out of these
        if by_get and sender is None and "HTTP_SEC_FETCH_SITE" not in environ:
            return "it does not say which page sent it"
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
            return "it was sent by another site"
        return None

    def _is_own(self, url: str, host: str) -> bool:
        """Return whether *url* is where the request went, or the public address of a proxy."""
        origin, asked = origin_of(url), place_of(host)
        if origin is None:
            return False
        place, usual_port = origin
        same = asked is not None and asked.name == place.name
        if same and asked and (asked.port or usual_port) == (place.port or usual_port):
            return True
        return self._allowed.hold(place, usual_port)


def _lets_others_in(header: str) -> bool:
    name = header.lower()
    return name.startswith("access-control-") or name == "x-frame-options"


def _advice(place: Place | None) -> str:
    """Return how to allow this name, if it is the UI's own."""
    if place is None:
        return ""
    name = f"[{place.name}]" if ":" in place.name else place.name
    where = f"{name}:{place.port}" if place.port else name
    return f"; if it is this UI's own address, --web-allowed-hosts {where} allows it"


def _refuse(start_response: StartResponse, refusal: Refusal) -> list[bytes]:
    body = json.dumps({"success": False, "message": f"Refused: {refusal.reason}."}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    headers.append(("Connection", "close"))  # an unread body is no next request
    start_response(refusal.status, headers)
    return [body]


def attach(environment: Environment) -> None:
    """Put a `Guard` around Locust's UI; exits when an allowed host could never match.

    A form may change what the UI has fields for, and no other option.
    """
    try:
        allowed = AllowedHosts(vars(environment.parsed_options).get("web_allowed_hosts") or "")
    except ValueError as error:
        raise SystemExit(str(error)) from error
    web_ui = environment.web_ui
    if web_ui is None:
        return
    names = {"localhost", socket.gethostname().lower(), web_ui.host.lower()} - {""}
    app: Any = web_ui.app

    def frozen() -> set[str]:
        options = environment.parsed_options
        return vars(options).keys() - CHANGEABLE - ui_extra_args_dict().keys() if options else set()

    app.wsgi_app = Guard(
        app.wsgi_app, names, allowed, lambda environ: forms.check(environ, environment, frozen)
    )
