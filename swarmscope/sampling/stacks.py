"""Stacks of a process, folded: each distinct one is kept once, with the sums of its samples."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

from swarmscope.pprof import Location

MAX_STACKS = 2_000  # per process and profile; what exceeds them is summed up by route
MAX_DEPTH = 100  # frames, from the innermost on
OTHER_STACKS, MORE_CALLERS = 0, 1
NO_REQUEST = ""  # the route of a stack that belongs to no request

Stack = tuple[int, ...]  # numbers of locations, the innermost first


class Stacks:
    """Folded stacks by route; here, none has a route."""

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
        """Return the route that *frame* works for, None without one; and its stack."""
        stack: list[int] = []
        while frame is not None and len(stack) <= MAX_DEPTH:
            stack.append(self.number(frame))
            frame = frame.f_back
        if len(stack) > MAX_DEPTH:
            stack[MAX_DEPTH:] = [MORE_CALLERS]
        return None, tuple(stack)

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

    def number(self, frame: FrameType) -> int:
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
