"""A profile: how long each stack of a process used the CPU, or waited, by route."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

CPU, WAITING = KINDS = "cpu", "waiting"
MAX_STACKS = 500  # that are stored of a window; the rest of each route is `OTHER`
MAX_BYTES = 64 << 20  # of what is stored, once decompressed
MAX_ROUTES = 200  # that are stored of a window: those with the least time are one, `OTHER_ROUTES`
MAX_DEPTH = 200  # frames of a stack; services send half as many
MAX_NAME = 300  # characters of a name
MAX_US = 2**53 - 1  # what a browser can hold
NO_ROUTE = ""  # of stacks that belong to no request
OTHER_ROUTES = "(other routes)"


class Frame(NamedTuple):
    """A place in the code; *is_app* tells the application's own from libraries' and Python's."""

    function: str
    file: str  # from the app's directory or the library's; "" of what stands for several
    line: int
    is_app: bool

    @property
    def place(self) -> str:
        """``views.py:88 render_invoice``, with the file's directories."""
        return f"{self.file}:{self.line} {self.function}" if self.file else self.function


OTHER = Frame("(other stacks)", "", 0, False)
Stack = tuple[Frame, ...]  # the outermost first
Key = tuple[str, Stack]  # with the route


@dataclass(frozen=True)
class Profile:
    """Microseconds by route and stack, of CPU time or of waiting, that were sampled in *seconds*.

    The microseconds of several processes, or of several requests at once, are added up.
    """

    kind: str  # one of `KINDS`
    seconds: float
    stacks: Mapping[Key, int]

    @property
    def total_us(self) -> int:
        """Microseconds of all stacks."""
        return sum(self.stacks.values())

    @property
    def routes(self) -> dict[str, int]:
        """Microseconds by route, the most first; `NO_ROUTE` is what belonged to no request."""
        sums = Counter[str]()
        for (route, _), microseconds in self.stacks.items():
            sums[route] += microseconds
        return dict(sums.most_common())

    def of_route(self, route: str) -> Profile:
        """Return what belongs to one route."""
        found = {key: us for key, us in self.stacks.items() if key[0] == route}
        return replace(self, stacks=found)

    def folded(self, most: int = MAX_STACKS) -> Profile:
        """Return *most* stacks, or fewer: in each route, `OTHER` is what the rest sums up to.

        There are as many as routes at least, of which `MAX_ROUTES` are kept.
        """
        if len(self.stacks) <= most:
            return self
        if len(self.routes) > MAX_ROUTES:
            return self._with_fewer_routes().folded(most)
        ranked = sorted(self.stacks.items(), key=lambda item: (-item[1], item[0]))
        kept = max(0, most - len(self.routes))
        sums = Counter(dict(ranked[:kept]))
        for (route, _), microseconds in ranked[kept:]:
            sums[route, (OTHER,)] += microseconds
        return replace(self, stacks=dict(sums))

    def _with_fewer_routes(self) -> Profile:
        kept = {*list(self.routes)[: MAX_ROUTES - 1]}
        sums = Counter[Key]()
        for (route, stack), microseconds in self.stacks.items():
            sums[(route, stack) if route in kept else (OTHER_ROUTES, (OTHER,))] += microseconds
        return replace(self, stacks=dict(sums))


def merged(profiles: Iterable[Profile], kind: str = CPU) -> Profile:
    """Return the sum of profiles of one kind; *kind* is that of none at all."""
    sums, seconds = Counter[Key](), 0.0
    for profile in profiles:
        kind = profile.kind
        seconds += profile.seconds
        sums.update(profile.stacks)
    return Profile(kind, seconds, dict(sums))


def encode(profile: Profile) -> bytes:
    """Return the stacks, compressed: each frame once, then routes, numbers of frames, and µs."""
    numbers: dict[Frame, int] = {}
    stacks = [
        [route, [numbers.setdefault(frame, len(numbers)) for frame in stack], microseconds]
        for (route, stack), microseconds in profile.stacks.items()
    ]
    text = json.dumps({"frames": list(numbers), "stacks": stacks}, separators=(",", ":"))
    return zlib.compress(text.encode(), 6)


def decode(kind: str, seconds: float, stored: bytes) -> Profile:
    """Return the profile whose stacks `encode` made; raises ValueError if it did not."""
    unpacked = zlib.decompressobj()
    try:
        content = json.loads(unpacked.decompress(stored, MAX_BYTES))
        return parsed(kind, seconds, content)
    except (zlib.error, RecursionError) as error:
        raise ValueError(f"not a stored profile: {error}") from error


def parsed(kind: str, seconds: float, content: Mapping[str, Any]) -> Profile:
    """Return the profile in *content*, frames and stacks as JSON has them; raises ValueError.

    A service decides what is in it: names are cut, and figures that cannot be are refused.
    """
    try:
        frames = [
            Frame(_name(function), _name(file), _whole(line), bool(is_app))
            for function, file, line, is_app in content["frames"]
        ]
        sums = Counter[Key]()
        for route, stack, microseconds in content["stacks"]:
            if len(stack) > MAX_DEPTH:
                raise ValueError(f"not a profile: a stack of {len(stack)} frames")
            key = _name(route), tuple(frames[_whole(number)] for number in stack)
            sums[key] += _whole(microseconds)
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"not a profile: {error!r}") from error
    return Profile(kind, seconds, dict(sums))


def _name(value: Any) -> str:
    """Return *value* as text that every encoder takes: names of files may have any byte."""
    return str(value)[:MAX_NAME].encode(errors="replace").decode()


def _whole(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= MAX_US:
        raise ValueError("not a profile: a number that cannot be")
    return number
