"""Locust's users whose requests say when they were sent and what trace they belong to."""

from __future__ import annotations

import time
from random import getrandbits
from typing import Any

import locust
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from swarmscope.client import clock, transport

SENT = "X-Request-Start"
TRACE = "traceparent"
_NO_ZEROS = 1 << 64 | 1  # an id of zeros is invalid: the lowest bit of trace and span is always set
_SENT = SENT.lower()
_LENGTHS = (len(SENT), len(TRACE))


def mark(headers: dict[str, Any]) -> bytes | None:
    """Add the headers that are missing; return the trace id (16 bytes), None if it is malformed.

    A header that a scenario sets itself stays, however its name is written.
    Sources: W3C Trace Context, level 1, section 3.2; ``t=<Unix seconds>`` as nginx writes it.
    """
    given = {}
    for name in headers:
        if len(name) in _LENGTHS:  # to change the case of all would cost three times as much
            given[name.lower()] = headers[name]
    if _SENT not in given:
        headers[SENT] = f"t={time.time() + clock.offset_s:.6f}"
    if TRACE in given:
        return _trace_id(given[TRACE])
    ids = f"{getrandbits(192) | _NO_ZEROS:048x}"
    headers[TRACE] = f"00-{ids[:32]}-{ids[32:]}-01"
    return bytes.fromhex(ids[:32])


def _trace_id(traceparent: object) -> bytes | None:
    try:
        return bytes.fromhex(str(traceparent).split("-")[1])
    except (IndexError, ValueError):
        return None


class _FastSession(FastHttpSession):
    def _send_request_safe_mode(self, method: str, url: str, **kwargs: Any) -> Any:
        trace_id = mark(kwargs["headers"])
        response: Any = super()._send_request_safe_mode(method, url, **kwargs)
        response.trace_id = trace_id
        return response


class _Session(HttpSession):
    def _send_request_safe_mode(self, method: str, url: str, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", None) or {})
        trace_id = mark(headers)
        response: Any = super()._send_request_safe_mode(method, url, headers=headers, **kwargs)
        response.trace_id = trace_id
        return response


class FastHttpUser(locust.FastHttpUser):
    """Locust's ``FastHttpUser``; its requests carry ``X-Request-Start`` and ``traceparent``."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client.__class__ = _FastSession  # Locust makes the session and takes no class for it
        transport.spare(self.client)


class HttpUser(locust.HttpUser):
    """Locust's ``HttpUser``; its requests carry ``X-Request-Start`` and ``traceparent``."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client.__class__ = _Session
