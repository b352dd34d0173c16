"""The Server-Timing of a finished request: summed over its hops, and returned once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geventhttpclient.header import Headers
from locust.contrib.fasthttp import ResponseContextManager

from swarmscope.client.http.answers import Response
from swarmscope.server_timing import component_entries, divided, total

SERVER_TIMING = "server-timing"

_raw_header = dict.get


def timing_of(response: Any, reader: str) -> Any:
    """Return a response's Server-Timing as it was received, None if it has none.

    A request that was redirected is reported once: its parts are the sums over all hops. A response
    that a scenario reports again has none then, or its parts would count twice: each *reader* gets
    them once.
    """
    try:
        return _timing_of(response, reader)
    except Exception:  # anything may be called a response, and raise when it is read
        return None


def _timing_of(response: Any, reader: str) -> Any:
    if isinstance(response, ResponseContextManager):  # Locust's copy, for ``with``
        response = response.request_meta["response"]
    if type(response) is Response:  # never redirected
        timing = response.server_timing()
        if timing is None or reader in response.__dict__:
            return None
        response.__dict__[reader] = True
        return timing
    headers = getattr(response, "headers", None)
    is_fast = type(headers) is Headers
    if not is_fast and not isinstance(headers, Mapping):
        return None
    timing = _header(headers)
    if timing is None:
        return None
    seen = getattr(response, "__dict__", {})
    if reader in seen:
        return None
    seen[reader] = True
    if is_fast:
        redirected = getattr(getattr(response, "request", None), "unverifiable", False)
    else:
        redirected = bool(getattr(response, "history", None))
    return _over_hops(response) if redirected else timing


def _over_hops(response: Any) -> str | None:
    """Return the sums of all hops' parts as a header, without the queue if one hop has none.

    None where the app's part of a hop is unknown, or the hops themselves: geventhttpclient forgets
    them when the last answer is an error.
    """
    history = getattr(response, "history", None)
    if not history:
        return None
    hops = [divided(_header(hop.headers)) for hop in [*history, response]]
    queue, app = _total([hop[0] for hop in hops]), _total([hop[1] for hop in hops])
    if app is None:
        return None
    timing = f"app;dur={app:.3f}" if queue is None else f"queue;dur={queue:.3f}, app;dur={app:.3f}"
    return timing + component_entries(total([hop[2] for hop in hops]))


def _total(ms: list[float | None]) -> float | None:
    known = [one for one in ms if one is not None]
    return sum(known) if len(known) == len(ms) else None


def _header(headers: Any) -> Any:
    """Return the header's text, or (name, value) of each of its lines."""
    if type(headers) is not Headers:
        return headers.get(SERVER_TIMING)
    line: Any = _raw_header(headers, SERVER_TIMING)  # (name, value), or a list of those
    return line[1] if type(line) is tuple else line
