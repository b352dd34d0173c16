"""Locust's session for `FastHttpUser`, which sends plain requests with less work."""

from __future__ import annotations

import json as standard_json
from time import monotonic, perf_counter, time
from typing import Any
from urllib.parse import urlencode

from gevent import GreenletExit
from geventhttpclient import client, useragent
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPParseError
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession, LocustUserAgent

from swarmscope.client.http.answers import SET_COOKIE, CaughtResponse, Replay, Response, Sent
from swarmscope.client.http.cookies import Jar
from swarmscope.client.http.exchange import exchange, received_by_geventhttpclient
from swarmscope.client.http.heads import head_of
from swarmscope.client.http.propagation import SENT, TRACE, mark, new_trace, now
from swarmscope.client.http.urls import Request, parsed
from swarmscope.client.locust_patches import keep_connections


class Agent(LocustUserAgent):
    """Locust's agent; it continues a request that was sent already."""

    request_type = Request
    begun: Any = None  # a response of geventhttpclient, or an error

    def _urlopen(self, request: Any) -> Any:
        begun, self.begun = self.begun, None
        if begun is None:
            return super()._urlopen(request)
        if isinstance(begun, BaseException):
            raise begun
        return self.response_type(begun, request=request, sent_request=begun._sent_request)


def _hooks() -> tuple[Any, ...]:
    """Return what `Session` does the work of, and others may have wrapped, as tracers do."""
    return Agent._urlopen, Agent.urlopen, HTTPClient.request, FastHttpSession.request


def _stock_hooks() -> tuple[Any, ...] | None:
    """Return them as they are now, None if one is wrapped already."""
    files = (__file__, useragent.__file__, client.__file__, fasthttp.__file__)
    hooks = _hooks()
    own = all(h.__code__.co_filename == file for h, file in zip(hooks, files, strict=True))
    return hooks if own else None


_STOCK = _stock_hooks()


class Session(FastHttpSession):
    """Locust's session; a plain request and its answer cost a third to a half of the CPU time.

    Locust's own does whatever is not plain: streams, parameters and files, proxies, and answers
    that are redirects or errors, compressed, or without a Content-Length.
    """

    request_name: str | None = None  # Locust 2.47 has it

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        lighten(self)

    def request(
        self, method: str, url: str, name: str | None = None, data: Any = None,
        catch_response: bool = False, stream: bool = False, headers: dict[str, Any] | None = None,
        auth: Any = None, json: Any = None, allow_redirects: bool = True,
        context: dict[str, Any] = {},  # noqa: B006  # as in Locust's
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Send a request; see Locust's `FastHttpSession.request`."""
        if stream or kwargs or type(self.client) is not Agent or _hooks() != _STOCK:
            return super().request(
                method, url, name=name, data=data, catch_response=catch_response, stream=stream,
                headers=headers, auth=auth, json=json, allow_redirects=allow_redirects,
                context=context, **kwargs,
            )  # fmt: skip
        built_url, start_time = self._build_url(url), time()
        meta: dict[str, Any] = {
            "request_type": method,
            "name": name or self.request_name or url,
            "context": {**self.user.context(), **context} if self.user else context,
            "exception": None,
            "start_time": start_time,
            "url": built_url,
            "response_length": 0,
        }
        headers = self._completed(headers, auth)
        if not data and json is not None:
            data = _as_json(json, headers)
        began = perf_counter()
        response = meta["response"] = self._send(method, built_url, data, headers, allow_redirects)
        _finish(meta, response, began)
        if catch_response:
            caught = (
                CaughtResponse if type(response) is Response else fasthttp.ResponseContextManager
            )
            return caught(response, self.request_event, meta, catch_response)
        self.request_event.fire(**meta)
        return response

    def _completed(self, headers: dict[str, Any] | None, auth: Any) -> dict[str, Any]:
        """Return *headers* with those that Locust adds."""
        headers = dict(headers) if headers else {}
        if auth:
            headers["Authorization"] = fasthttp._construct_basic_auth_str(*auth[:2])
        elif self.auth_header:
            headers["Authorization"] = self.auth_header
        if "Accept-Encoding" not in headers and "accept-encoding" not in headers:
            headers["Accept-Encoding"] = "gzip, deflate, br"
        return headers

    def _send(
        self, method: str, url: str, data: Any, headers: dict[str, Any], allow_redirects: bool
    ) -> Any:
        agent: Any = self.client
        began = perf_counter()
        response: Any = _send_plain(agent, method, url, data, headers)
        if response is None:
            response = self._leave(agent, method, url, data, headers, allow_redirects)
        response.first_byte_ms = (perf_counter() - began) * 1000
        return response

    def _leave(
        self, agent: Any, method: str, url: str, data: Any, headers: Any, allow_redirects: bool
    ) -> Any:
        """Let Locust send a request, or continue it."""
        follow = agent.redirect_response_codes
        if not allow_redirects:
            agent.redirect_response_codes = frozenset()
        try:
            return super()._send_request_safe_mode(method, url, payload=data, headers=headers)
        finally:
            agent.begun = None
            if not allow_redirects:
                agent.redirect_response_codes = follow


def lighten(session: FastHttpSession) -> None:
    """Make *session*, a new one of Locust's, one that sends plain requests with less work."""
    keep_connections()
    session.__class__ = Session
    agent: Any = session.client
    agent.__class__ = Agent
    session.cookiejar = agent.cookiejar = Jar()


def _as_json(value: Any, headers: dict[str, Any]) -> str:
    """Return *value* as a body, and describe it in *headers*."""
    if "Content-Type" not in headers and "content-type" not in headers:
        headers["Content-Type"] = "application/json"
    if "Accept" not in headers and "accept" not in headers:
        headers["Accept"] = "application/json"
    return standard_json.dumps(value)


def _finish(meta: dict[str, Any], response: Any, began: float) -> None:
    """Read the body, and note its length, the time that it all took, and what failed."""
    if type(response) is Response:  # nothing of it can fail
        meta["response_length"] = response.length
        meta["response_time"] = (perf_counter() - began) * 1000
        return
    try:
        meta["response_length"] = len(response.content) if response.content else 0
    except (HTTPParseError, *fasthttp.FAILURE_EXCEPTIONS) as error:  # all in one since 2.47
        meta["response_time"] = (perf_counter() - began) * 1000
        meta["exception"] = error
        return
    meta["response_time"] = (perf_counter() - began) * 1000
    try:
        response.raise_for_status()
    except fasthttp.FAILURE_EXCEPTIONS as error:
        meta["exception"] = error


def _send_plain(
    agent: Any, method: str, url: str, data: Any, headers: dict[str, Any]
) -> Response | None:
    """Send a plain request; return None if Locust is to send it, or to continue it."""
    payload, body = _payload(data)
    jar = agent.cookiejar
    if (body is None and data) or type(jar) is not Jar:
        return None
    try:
        connections = agent.clientpool.get_client(parsed(url))
        cookie = jar.header(url, method)
        head = head_of(connections, agent, method, url, headers, cookie is not None, body)
    except (TypeError, ValueError):
        return None
    if head is None:
        return None
    trace: bytes | None
    if head.sent and head.trace:
        headers[SENT] = sent = now()
        traceparent, trace = new_trace()
        headers[TRACE] = traceparent
    else:
        trace = mark(headers, agent.default_headers)
        sent, traceparent = headers.get(SENT, ""), headers.get(TRACE, "")
    text = head.text.format(sent, traceparent, cookie, len(payload))
    request = Sent(agent, method, url, headers, data, cookie, text)
    response = _exchanged(connections, request, text.encode("latin-1") + payload)
    if response is not None:
        response.trace_id = trace
    return response


def _exchanged(connections: HTTPClient, request: Sent, sent: bytes) -> Response | None:
    """Send *sent* and return its response; leave to the agent what is not plain."""
    agent, method = request.agent, request.method.upper()
    began = monotonic()
    try:
        found = exchange(connections, method, sent)
    except GreenletExit:
        raise
    except BaseException as error:  # Locust's agent raises it, and handles it
        agent.begun = error
        return None
    if type(found) is tuple:
        answer, data = found
        if answer.status in agent.valid_response_codes:
            response = Response(answer, data, request)
            response.elapsed_s = monotonic() - began
            if SET_COOKIE in answer.lowered:
                agent.cookiejar.extract_cookies(response, response.request)
            return response
        found = received_by_geventhttpclient(connections, method, Replay(data))
    found._sent_request = request.head
    agent.begun = found
    return None


def _payload(data: Any) -> tuple[bytes, str | None]:
    """Return the bytes of a body and which kind it is, None for none or one left to Locust."""
    if not data:
        return b"", None
    if type(data) is str:
        return data.encode(), "text"
    if type(data) is bytes:
        return data, "bytes"
    if type(data) is dict:
        return urlencode(data).encode(), "form"
    return b"", None
