"""A profile as folded text: a line per stack, as flamegraph.pl and speedscope read it."""

from __future__ import annotations

from swarmscope.pprof import Location
from swarmscope.sampling.source_files import short
from swarmscope.server.profiles.merging import WorkersProfile

NO_ROUTE = "(no request)"


def fold(profile: WorkersProfile) -> bytes:
    """Return ``route;outermost;…;innermost SUM`` lines, the largest sum first.

    The sum is that of the last of the profile's types, in microseconds.
    """
    frames = [_frame(location) for location in profile.locations]
    lines: list[tuple[int, str]] = []
    for (route, stack), sums in profile.sums.items():
        if microseconds := sums[-1] // 1000:
            names = [route or NO_ROUTE, *(frames[place] for place in reversed(stack))]
            lines.append((microseconds, ";".join(names)))
    return "".join(f"{text} {sum_}\n" for sum_, text in sorted(lines, reverse=True)).encode()


def _frame(location: Location) -> str:
    """Return ``function (file:line)``."""
    function, file, _, line = location
    return f"{function} ({short(file)}:{line})".replace(";", ",") if file else function
