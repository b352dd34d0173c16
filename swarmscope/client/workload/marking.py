"""Marks the requests of Locust's HTTP clients: when each was sent, and the trace it belongs to.

The marks are in the clients' sessions, not in user classes: a scenario's own subclass of a session,
or a session that it makes itself, sends them too, and no class of a scenario changes.
"""

from __future__ import annotations

import functools
from time import perf_counter
from typing import Any

from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, FastRequest, LocustUserAgent
from requests import PreparedRequest, Request, Response

from swarmscope.client.http.propagation import (
    SENT,
    TRACE,
    mark,
    now,
    send_again,
    trace_id,
    trace_sent,
)


def mark_requests() -> None:
    """Make ``HttpSession`` and ``FastHttpSession`` mark each request; harmless if repeated.

    A header that a scenario sets itself stays. Each hop of a redirect has its own start.
    """
    if not hasattr(HttpSession.prepare_request, "__wrapped__"):
        _mark_session()
        _mark_fast_session()


def _mark_session() -> None:
    session: Any = HttpSession
    prepare, rebuild, send = (
        session.prepare_request,
        session.rebuild_auth,
        session._send_request_safe_mode,
    )

    @functools.wraps(prepare)
    def prepare_request(self: Any, request: Request) -> PreparedRequest:
        prepared: Any = prepare(self, request)  # it has the headers of the session too
        prepared.start_is_ours = SENT not in prepared.headers
        mark(prepared.headers)
        prepared.hooks["response"].insert(0, _note_first_byte)
        return prepared  # type: ignore[no-any-return]

    @functools.wraps(rebuild)
    def rebuild_auth(self: Any, prepared_request: PreparedRequest, response: Response) -> None:
        rebuild(self, prepared_request, response)
        hop: Any = prepared_request  # the next of a redirect: requests calls this last
        hop.start_is_ours = getattr(response.request, "start_is_ours", False)
        if hop.start_is_ours:
            hop.headers[SENT] = now()

    @functools.wraps(send)
    def send_request(self: Any, method: str, url: str, **kwargs: Any) -> Any:
        began = perf_counter()
        response: Any = send(self, method, url, **kwargs)
        if (at := getattr(response, "first_byte_at", None)) is not None:
            response.first_byte_ms = (at - began) * 1000
        request = response.request
        response.trace_id = trace_id(request.headers.get(TRACE)) if request is not None else None
        return response

    session.prepare_request = prepare_request
    session.rebuild_auth = rebuild_auth
    session._send_request_safe_mode = send_request


def _note_first_byte(response: Any, **_: Any) -> None:
    """Note when a response's headers had been read: requests calls its hooks right then."""
    response.first_byte_at = perf_counter()


def _mark_fast_session() -> None:
    session, request, agent = (FastHttpSession, FastRequest, LocustUserAgent)  # type: Any, Any, Any
    send, redirect_to, may_retry = (
        session._send_request_safe_mode,
        request.redirect,
        agent._may_retry,
    )

    @functools.wraps(send)
    def send_request(self: Any, method: str, url: str, **kwargs: Any) -> Any:
        headers = kwargs["headers"]
        trace = mark(headers, self.client.default_headers)
        began = perf_counter()
        response: Any = send(self, method, url, **kwargs)
        response.first_byte_ms = (perf_counter() - began) * 1000  # its headers have been read
        response.trace_id = trace_sent(response.request.headers, headers, trace)
        return response

    @functools.wraps(redirect_to)
    def redirect(self: Any, code: int, location: str) -> None:
        redirect_to(self, code, location)
        send_again(self.headers)

    @functools.wraps(may_retry)
    def _may_retry(self: Any, request: Any) -> Any:
        send_again(request.headers)
        return may_retry(self, request)

    session._send_request_safe_mode = send_request
    request.redirect = redirect
    agent._may_retry = _may_retry
