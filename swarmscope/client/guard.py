"""Keeps other web pages away from Locust's UI, which has no defence of its own.

Locust answers any origin's requests, under any name, and a form sent to ``/swarm`` may overwrite
any option.
"""

from __future__ import annotations

import io
import ipaddress
import json
import logging
import socket
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from locust.argument_parser import ui_extra_args_dict
from locust.web import WebUI

logger = logging.getLogger(__name__)

READING = {"GET", "HEAD", "OPTIONS"}
CHANGEABLE = {
    "user_count",
    "spawn_rate",
    "host",
    "run_time",
    "profile",
    "user_classes",
    "shape_class",
}
LARGEST_FORM_BYTES = 1 << 20

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Guard:
    """A WSGI layer around the UI: refuses what a foreign page may have sent, and any CORS."""

    def __init__(
        self,
        application: Application,
        hosts: Collection[str],
        frozen: Callable[[], set[str]],
    ) -> None:
        self._application = application
        self._hosts = hosts
        self._frozen = frozen
        self._told = False  # of a page that could not be read

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def without_cors(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [h for h in headers if not h[0].lower().startswith("access-control-")]
            return start_response(status, kept, *rest)

        reads = environ["REQUEST_METHOD"] in READING
        reason = self._unknown_host(environ) if reads else self._reason(environ)
        if reason:
            if not (reads and self._told):  # an open page asks again every second
                logger.warning("A request to the web UI was refused: %s.", reason)
            self._told |= reads
            return _refuse(start_response, reason)
        return self._application(environ, without_cors)

    def _unknown_host(self, environ: dict[str, Any]) -> str | None:
        """Return why the name under which we were asked is none of ours.

        To a browser, a page under an attacker's name that now points to us is of one origin with
        ours, and may read it. What names no host at all is no browser.
        """
        host = environ.get("HTTP_HOST")
        if host is None or _is_known(host, self._hosts):
            return None
        return f"the host {host!r} is not known here; --web-allowed-hosts may name it"

    def _reason(self, environ: dict[str, Any]) -> str | None:
        """Return why a request that changes something is refused, or None."""
        host = environ.get("HTTP_HOST", "")
        if reason := self._unknown_host(environ):
            return reason
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and _place(origin) != host.lower():
            return f"the origin {origin!r} is another site"
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
            return "it was sent by another site"
        if environ.get("PATH_INFO", "").endswith("/swarm"):
            return self._forbidden_field(environ)
        return None

    def _forbidden_field(self, environ: dict[str, Any]) -> str | None:
        body = _body(environ)
        if body is None:
            return f"a form may have {LARGEST_FORM_BYTES} bytes"
        if "multipart/" in environ.get("CONTENT_TYPE", "").lower():
            return "a swarm is started by an urlencoded form"
        sent = parse_qs(body.decode("latin-1"), keep_blank_values=True)
        forbidden = sorted(sent.keys() & self._frozen())
        return f"the UI may not change {', '.join(forbidden)}" if forbidden else None


def _body(environ: dict[str, Any]) -> bytes | None:
    """Return the request's body and put it back; None when it is too long or of unknown length."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > LARGEST_FORM_BYTES:
        return None
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return None
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _is_known(host: str, names: Collection[str]) -> bool:
    """Tell whether a page under this name is ours: no attacker's name can be one of these."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # an unbalanced bracket of an IPv6 address
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # an unbalanced bracket of an IPv6 address
        return ""


def _refuse(start_response: StartResponse, reason: str) -> list[bytes]:
    body = json.dumps({"success": False, "message": f"Refused: {reason}."}).encode()
    start_response(
        "403 Forbidden",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]


def protect(web_ui: WebUI, allowed_hosts: Collection[str]) -> None:
    """Put a `Guard` around Locust's UI.

    A form may change what the UI has fields for; of the other options, none.
    """
    names = {"localhost", socket.gethostname().lower(), web_ui.host.lower(), *allowed_hosts} - {""}
    app: Any = web_ui.app
    options = web_ui.environment.parsed_options

    def frozen() -> set[str]:
        return vars(options).keys() - CHANGEABLE - ui_extra_args_dict().keys()

    app.wsgi_app = Guard(app.wsgi_app, names, frozen)
