"""Request headers: when the client sent the request, and its trace."""

from __future__ import annotations

import re

OLDEST_S = 60.0
MICROSECONDS_FROM = 1e14  # as Unix seconds that would be three million years ahead
MILLISECONDS_FROM = 1e11

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def seconds_since(request_start: str | None, now: float) -> float | None:
    """Return how long before *now* (Unix seconds) the client sent the request, in seconds.

    *request_start* is an ``X-Request-Start`` header: a Unix time in seconds, milliseconds or
    microseconds, with or without ``t=``. None if it is missing, malformed, in the future or older
    than a minute.
    """
    if request_start is None or "_" in request_start:  # float() would take 1_000
        return None
    try:
        sent = float(request_start.removeprefix("t="))
    except ValueError:
        return None
    if sent > MILLISECONDS_FROM:
        sent /= 1e6 if sent > MICROSECONDS_FROM else 1e3
    age = now - sent
    return age if 0.0 <= age <= OLDEST_S else None


def trace_id(traceparent: str | None) -> str:
    """Return the trace id (32 hex digits) of a W3C ``traceparent`` header, "" without a valid one.

    Source: W3C Trace Context, section 3.2; versions after 00 may carry more fields.
    """
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None or ((traceparent or "").startswith("00") and match[2]):
        return ""
    return match["trace"]
