"""Stacks of a process, folded: each distinct one is kept once, with the sums of its samples."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

from swarmscope.pprof import Location
from swarmscope.server.middleware import UNMATCHED, Middleware

MAX_STACKS = 2_000  # per process and profile; what exceeds them is summed up by route
MAX_DEPTH = 100  # frames, from the innermost on
OTHER_STACKS, MORE_CALLERS = 0, 1
NO_REQUEST = ""  # the route of a stack that belongs to no request

Stack = tuple[int, ...]  # numbers of locations, the innermost first

_MIDDLEWARE = Middleware.__call__.__code__


class Stacks:
    """Folded stacks by route. A request's begins below our middleware: the server is left out."""

    def __init__(self) -> None:
        self.locations: list[Location] = [
            ("(other stacks)", "", 0, 0),
            ("(more callers)", "", 0, 0),
        ]
        self._sums: dict[tuple[str, Stack], list[int]] = {}
        self._numbers: dict[tuple[int, int], int] = {}  # by id of code, and instruction
        self._by_location: dict[Location, int] = {}
        self._codes: list[CodeType] = []  # kept alive, or another could get the id of one

    def read(self, frame: FrameType | None) -> tuple[str | None, Stack]:
        """Return the route of the request that *frame* works for, None without one; and the stack.

        The route is that of the outermost app, which counts the request.
        """
        stack: list[int] = []
        route, end = None, None
        while frame is not None:
            if frame.f_code is _MIDDLEWARE:
                stack = stack or [self._number(frame)]  # it runs itself
                route, end = _route(frame), min(len(stack), MAX_DEPTH + 1)
            elif len(stack) <= MAX_DEPTH:
                stack.append(self._number(frame))
            frame = frame.f_back
        stack = stack[:end]
        if len(stack) > MAX_DEPTH:
            stack[MAX_DEPTH:] = [MORE_CALLERS]
        return route, tuple(stack)

    def add(self, route: str, stack: Stack, *amounts: int) -> None:
        """Add *amounts* to the sums of a stack."""
        sums = self._sums.get((route, stack))
        if sums is None:
            if len(self._sums) >= MAX_STACKS:
                stack = (OTHER_STACKS,)
            sums = self._sums.setdefault((route, stack), [0] * len(amounts))
        for place, amount in enumerate(amounts):
            sums[place] += amount

    def content(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        sums = list(self._sums.items())  # at once: a sample may be on its way
        stacks = [[route, stack, amounts] for (route, stack), amounts in sums]
        return {"locations": list(self.locations), "stacks": stacks}

    def _number(self, frame: FrameType) -> int:
        """Return the number of a location. A line number is expensive: it is asked for once."""
        code = frame.f_code
        key = (id(code), frame.f_lasti)  # hashing the code itself would be slow
        number = self._numbers.get(key)
        if number is None:
            line = frame.f_lineno or code.co_firstlineno
            location = (code.co_qualname, code.co_filename, code.co_firstlineno, line)
            number = self._by_location.setdefault(location, len(self.locations))
            if number == len(self.locations):
                self.locations.append(location)
            self._codes.append(code)
            self._numbers[key] = number
        return number


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
