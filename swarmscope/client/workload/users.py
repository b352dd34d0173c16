"""Locust's users; their requests carry when they were sent and the trace they belong to."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import locust
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from requests import PreparedRequest, Request, Response

from swarmscope.client.workload import transport
from swarmscope.client.workload.propagation import SENT, TRACE, mark, now, trace_id, trace_sent


class _FastSession(FastHttpSession):
    def _send_request_safe_mode(self, method: str, url: str, **kwargs: Any) -> Any:
        headers = kwargs["headers"]
        trace = mark(headers, self.client.default_headers)
        began = perf_counter()
        response: Any = super()._send_request_safe_mode(method, url, **kwargs)
        response.first_byte_ms = (perf_counter() - began) * 1000  # its headers have been read
        response.trace_id = trace_sent(response.request.headers, headers, trace)
        return response


class _Session(HttpSession):
    def prepare_request(self, request: Request) -> PreparedRequest:
        """Add the headers once those of the session are there too."""
        prepared: Any = super().prepare_request(request)
        own_start = SENT in prepared.headers
        mark(prepared.headers)
        prepared.start_is_ours = not own_start
        return prepared  # type: ignore[no-any-return]

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Stamp the next hop of a redirect with its own send time: requests calls this last."""
        super().rebuild_auth(prepared_request, response)
        hop: Any = prepared_request
        hop.start_is_ours = getattr(response.request, "start_is_ours", False)
        if hop.start_is_ours:
            hop.headers[SENT] = now()

    def _send_request_safe_mode(self, method: str, url: str, **kwargs: Any) -> Any:
        began = perf_counter()
        response: Any = super()._send_request_safe_mode(method, url, **kwargs)
        if (at := getattr(response, "first_byte_at", None)) is not None:
            response.first_byte_ms = (at - began) * 1000
        request = response.request
        response.trace_id = trace_id(request.headers.get(TRACE)) if request is not None else None
        return response


def _note_first_byte(response: Any, **_: Any) -> None:
    """Note when a response's headers had been read: requests asks its hooks right then."""
    response.first_byte_at = perf_counter()


class FastHttpUser(locust.FastHttpUser):
    """Locust's ``FastHttpUser``; its requests carry ``X-Request-Start`` and ``traceparent``.

    ::

        from locust import task
        from swarmscope.client import FastHttpUser


        class Tester(FastHttpUser):
            @task
            def list_tests(self):
                self.client.get("/tests")
    """

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client.__class__ = _FastSession  # Locust makes the session and takes no class for it
        transport.spare(self.client)


class HttpUser(locust.HttpUser):
    """Locust's ``HttpUser``; its requests carry ``X-Request-Start`` and ``traceparent``.

    Where a scenario needs the API of `requests`::

        from locust import task
        from swarmscope.client import HttpUser


        class Tester(HttpUser):
            @task
            def list_tests(self):
                self.client.get("/tests")
    """

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client.__class__ = _Session
        self.client.hooks["response"].append(_note_first_byte)
