"""Stacks of a worker, by the route of the request that each works for."""

from __future__ import annotations

from types import FrameType

from swarmscope.sampling.stacks import MAX_DEPTH, MORE_CALLERS, Stack, Stacks
from swarmscope.server.middleware import UNMATCHED, Middleware

_MIDDLEWARE = Middleware.__call__.__code__


class RequestStacks(Stacks):
    """Folded stacks by route. A request's begins below our middleware: the server is left out."""

    def read(self, frame: FrameType | None) -> tuple[str | None, Stack]:
        """Return the route of the request that *frame* works for, None without one; and the stack.

        The route is that of the outermost app, which counts the request.
        """
        stack: list[int] = []
        route, end = None, None
        while frame is not None:
            if frame.f_code is _MIDDLEWARE:
                stack = stack or [self.number(frame)]  # it runs itself
                route, end = _route(frame), min(len(stack), MAX_DEPTH + 1)
            elif len(stack) <= MAX_DEPTH:
                stack.append(self.number(frame))
            frame = frame.f_back
        stack = stack[:end]
        if len(stack) > MAX_DEPTH:
            stack[MAX_DEPTH:] = [MORE_CALLERS]
        return route, tuple(stack)


def is_in_request(frame: FrameType | None) -> bool:
    """Return whether *frame* works for a request: much cheaper than reading its stack."""
    while frame is not None and frame.f_code is not _MIDDLEWARE:
        frame = frame.f_back
    return frame is not None


def _route(middleware: FrameType) -> str | None:
    """Return the route of the request in a call of our middleware, None if it is not measured."""
    timer = middleware.f_locals.get("timer")
    if timer is None:
        return None
    if timer.group is not None:
        return str(timer.group)
    request = timer.request or timer.environ.get("werkzeug.request")
    rule = getattr(request, "url_rule", None)
    return UNMATCHED if rule is None else str(rule.rule)
