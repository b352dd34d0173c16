"""What a profile says in few words: the lines of the application that use the CPU, or wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from swarmscope.runs.profiles.model import Frame, Profile, Stack

WORTH_NAMING = 0.2  # of the whole
WORTH_NOTICING = 0.05  # of a change, in shares of the whole
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
    found = []
    for spent in _by_function(profile).values():
        share = spent.lines.total() / profile.total_us if spent.lines.total() else 0.0
        if share and share >= at_least:
            frame, leaf = _largest(spent.lines), _largest(spent.leaves)
            found.append(FrameShare(frame, share, None if leaf.is_app else leaf))
    return sorted(found, key=lambda one: -one.share)[:most]


@dataclass(frozen=True)
class ChangedFrame:
    """A line of the application, and its share of a profile and of its *baseline*."""

    frame: Frame
    share: float  # 0..1
    baseline: float


def changed_frames(
    profile: Profile, baseline: Profile, most: int = MAX_NAMED, at_least: float = WORTH_NOTICING
) -> list[ChangedFrame]:
    """Return the application's functions whose shares changed most, the largest change first.

    The line of each is the one in which it took most in *profile*, or else in *baseline*.
    """
    after, before = _by_function(profile), _by_function(baseline)
    found = []
    for name in {**after, **before}:
        shares = [
            spent[name].lines.total() / whole.total_us if name in spent and whole.total_us else 0.0
            for spent, whole in ((after, profile), (before, baseline))
        ]
        if abs(shares[0] - shares[1]) >= at_least:
            frame = _largest((after if name in after else before)[name].lines)
            found.append(ChangedFrame(frame, *shares))
    return sorted(found, key=lambda one: (-round(abs(one.share - one.baseline), 6), -one.share))[
        :most
    ]


@dataclass(frozen=True)
class _Spent:
    """Microseconds of a function, by its lines and by where they were in the end."""

    lines: Counter[Frame]
    leaves: Counter[Frame]


def _by_function(profile: Profile) -> dict[tuple[str, str], _Spent]:
    found: dict[tuple[str, str], _Spent] = {}
    for (_, stack), microseconds in profile.stacks.items():
        if own := _innermost_own(stack):
            spent = found.setdefault((own.function, own.file), _Spent(Counter(), Counter()))
            spent.lines[own] += microseconds
            spent.leaves[stack[-1]] += microseconds
    return found


def _innermost_own(stack: Stack) -> Frame | None:
    """Return the innermost frame of the application's own code."""
    return next((frame for frame in reversed(stack) if frame.is_app), None)


def _largest(sums: Counter[Frame]) -> Frame:
    return sums.most_common(1)[0][0]
