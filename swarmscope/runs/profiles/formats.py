"""A run's profiles for other tools: folded text, and pprof's format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from swarmscope.formatting import printable
from swarmscope.pprof import About, Location, encode
from swarmscope.runs.profiles.difference import Change
from swarmscope.runs.profiles.model import CPU, Frame, Profile, Stack

NO_REQUEST = "(no request)"
HZ = {CPU: 100.0}  # as the shipper asks; of waiting, 25


def pprof(profile: Profile, program: str, began: datetime) -> bytes:
    """Return a profile of *program* in the format of ``go tool pprof``."""
    numbers: dict[Frame, int] = {}
    samples = [
        (
            route,
            [numbers.setdefault(frame, len(numbers)) for frame in reversed(stack)],
            [1000 * microseconds],
        )
        for (route, stack), microseconds in profile.stacks.items()
    ]
    locations: list[Location] = [(f.function, f.file, 0, f.line) for f in numbers]
    about = About(program, began.timestamp(), profile.seconds, HZ.get(profile.kind, 25.0))
    return encode(about, ((profile.kind, "nanoseconds"),), locations, samples)


def folded(profile: Profile) -> str:
    """Return ``route;outermost;…;innermost MICROSECONDS`` lines, the largest first."""
    ranked = sorted(profile.stacks.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{_line(*key)} {microseconds}\n" for key, microseconds in ranked)


def folded_difference(changes: Sequence[Change]) -> str:
    """Return lines with two numbers, the baseline's first: ``flamegraph.pl`` colours by them.

    It is the format of ``difffolded.pl -n`` of github.com/brendangregg/FlameGraph.
    """
    return "".join(f"{_line(c.route, c.stack)} {c.baseline_us} {c.us}\n" for c in changes)


def _line(route: str, stack: Stack) -> str:
    return ";".join(map(_name, [route or NO_REQUEST, *map(_text, stack)]))


def _text(frame: Frame) -> str:
    return f"{frame.function} ({frame.file}:{frame.line})" if frame.file else frame.function


def _name(text: str) -> str:
    """Return *text* without what ends a name or a line."""
    return printable(text.replace(";", ",").replace("\n", " "))
