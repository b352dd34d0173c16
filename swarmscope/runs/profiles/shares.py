"""What a profile says in few words: the lines of the application that use the CPU, or wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from swarmscope.runs.profiles.model import Frame, Profile, Stack

WORTH_NAMING = 0.2  # of the whole
MAX_NAMED = 3


@dataclass(frozen=True)
class FrameShare:
    """A line of the application, and the share of a profile that it and what it called took.

    *inside* is where that time was for the most part, if in a library's code or Python's.
    """

    frame: Frame
    share: float  # 0..1
    inside: Frame | None


def top_frames(
    profile: Profile, most: int = MAX_NAMED, at_least: float = WORTH_NAMING
) -> list[FrameShare]:
    """Return the application's functions that took most time, each once, the most first.

    Time belongs to the innermost frame of the application in its stack, so that a library's is its
    caller's. Of a function's lines the one that took most is named. Shares are of all the profile.

    >>> route, view = "/pay", Frame("pay", "shop/views.py", 88, True)
    >>> [top] = top_frames(Profile("cpu", 1.0, {(route, (view,)): 62, ("", ()): 38}))
    >>> f"{top.share:.0%} in {top.frame.place}"
    '62% in shop/views.py:88 pay'
    """
    total = profile.total_us
    lines: defaultdict[tuple[str, str], Counter[Frame]] = defaultdict(Counter)
    leaves: defaultdict[tuple[str, str], Counter[Frame]] = defaultdict(Counter)
    for (_, stack), microseconds in profile.stacks.items():
        if own := innermost_own(stack):
            lines[own.function, own.file][own] += microseconds
            leaves[own.function, own.file][stack[-1]] += microseconds
    ranked = sorted(lines, key=lambda name: -lines[name].total())[:most]
    found = []
    for name in ranked:
        share = lines[name].total() / total if total else 0.0
        if share and share >= at_least:
            frame, leaf = _largest(lines[name]), _largest(leaves[name])
            found.append(FrameShare(frame, share, None if leaf.is_app else leaf))
    return found


def innermost_own(stack: Stack) -> Frame | None:
    """Return the innermost frame of the application's own code."""
    return next((frame for frame in reversed(stack) if frame.is_app), None)


def _largest(sums: Counter[Frame]) -> Frame:
    return sums.most_common(1)[0][0]
