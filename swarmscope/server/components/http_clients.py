"""Hooks urllib3 (and so requests), requests and httpx: what they send is marked, timed and counted.

A call is marked and counted where one message is sent, hop by hop of a redirect. Its time for the
component `http` is measured around the client's method as well, which also reads the body.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from swarmscope.server.components.breakdown import HTTP, current, timed
from swarmscope.server.components.libraries import Hooks
from swarmscope.server.components.outgoing import (
    DEFAULT_PORTS,
    START,
    OutgoingCall,
    mark,
    outgoing_of,
)


def hook_urllib3(hooks: Hooks, module: Any) -> None:
    """Hook ``urllib3.connectionpool``, 1.26 and 2."""
    hooks.wrap(module.HTTPConnectionPool, "urlopen", _urlopen)


def hook_requests(hooks: Hooks, module: Any) -> None:
    """Hook ``requests.sessions``, whose ``send`` reads the body after urllib3 has returned."""
    hooks.wrap(module.Session, "send", functools.partial(timed, HTTP))


def hook_httpx(hooks: Hooks, module: Any) -> None:
    """Hook ``httpx``: both clients, and their transports to a network."""
    hooks.wrap(module.Client, "send", functools.partial(timed, HTTP))
    hooks.wrap(module.HTTPTransport, "handle_request", _handle_request)
    hooks.wrap(module.AsyncClient, "send", _async_send)
    hooks.wrap(module.AsyncHTTPTransport, "handle_async_request", _handle_async_request)


def _urlopen(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    def urlopen(
        pool: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        *more: Any,
        **named: Any,
    ) -> Any:
        breakdown = current()
        outgoing = None if breakdown is None else outgoing_of(breakdown)
        if breakdown is None or outgoing is None:
            return stock(pool, method, url, body, headers, *more, **named)
        scheme, host, port = _target(pool, url)
        headers = mark(breakdown, host, pool.headers if headers is None else headers)
        under_way, caller = outgoing.under_way, breakdown.identify()
        if caller in under_way:
            return stock(pool, method, url, body, headers, *more, **named)
        under_way.add(caller)
        try:
            target = host, port or DEFAULT_PORTS.get(scheme, 0), method
            with OutgoingCall(breakdown, target) as call:
                response = stock(pool, method, url, body, headers, *more, **named)
                call.status = response.status
            return response
        finally:
            under_way.discard(caller)

    return urlopen


def _target(pool: Any, url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a call: a proxy's pool is given the whole URL."""
    if url.startswith("http"):
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port
    return pool.scheme, pool.host, pool.port


def _handle_request(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    def handle_request(transport: Any, request: Any) -> Any:
        breakdown = current()
        if breakdown is None or breakdown.outgoing is None:
            return stock(transport, request)
        with _httpx_call(breakdown, request) as call:
            response = stock(transport, request)
            call.status = response.status_code
        return response

    return handle_request


def _handle_async_request(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        breakdown = current()
        if breakdown is None or breakdown.outgoing is None:
            return await stock(transport, request)
        with _httpx_call(breakdown, request, True) as call:
            response = await stock(transport, request)
            call.status = response.status_code
        return response

    return handle_async_request


def _httpx_call(breakdown: Any, request: Any, task: bool = False) -> OutgoingCall:
    """Mark *request*; what follows a redirect is made from it, with its headers and extensions."""
    url, key = request.url, "swarmscope.start"
    sent = request.extensions.get(key)
    if sent is not None and request.headers.get(START) == sent:
        del request.headers[START]
    ours = START not in request.headers
    request.headers = mark(breakdown, url.host, request.headers)
    if ours:
        request.extensions = {**request.extensions, key: request.headers.get(START)}
    port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
    return OutgoingCall(breakdown, (url.host, port, request.method), task)


def _async_send(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    async def send(*arguments: Any, **named: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[HTTP]:
            return await stock(*arguments, **named)
        before = breakdown.enter_task(HTTP)
        try:
            return await stock(*arguments, **named)
        finally:
            breakdown.leave(before)

    return send
