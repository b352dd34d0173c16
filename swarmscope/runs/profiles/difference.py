"""What has changed between two profiles: of two levels, two spans or two runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from swarmscope.runs.profiles.model import Frame, Key, Profile, Stack


@dataclass(frozen=True)
class Change:
    """A stack's microseconds in a profile and in its baseline, as if both had the same total."""

    route: str
    stack: Stack
    us: int
    baseline_us: int

    @property
    def difference_us(self) -> int:
        """How much more it is than in the baseline; negative if less."""
        return self.us - self.baseline_us


def subtract(profile: Profile, baseline: Profile, same_code: bool) -> list[Change]:
    """Return all stacks of both, what has grown most first.

    The baseline is scaled to the total of *profile*: what is compared are shares. Between two
    revisions of the code, not the *same_code*, lines move: functions are compared then, and the
    line of each is the one in which it took most.
    """
    after, before = profile.stacks, baseline.stacks
    if not same_code:
        lines = {**_lines(before), **_lines(after)}
        after, before = _at(lines, after), _at(lines, before)
    totals = profile.total_us, baseline.total_us
    scale = totals[0] / totals[1] if all(totals) else 1.0
    changes = [
        Change(*key, after.get(key, 0), round(scale * before.get(key, 0)))
        for key in {**after, **before}
    ]
    return sorted(changes, key=lambda one: (-one.difference_us, one.route, one.stack))


def _lines(stacks: Mapping[Key, int]) -> dict[Frame, Frame]:
    """Return each function, a frame without its line, with the line in which it took most."""
    found: defaultdict[Frame, Counter[Frame]] = defaultdict(Counter)
    for (_, stack), microseconds in stacks.items():
        for frame in set(stack):
            found[_function(frame)][frame] += microseconds
    return {function: lines.most_common(1)[0][0] for function, lines in found.items()}


def _at(lines: Mapping[Frame, Frame], stacks: Mapping[Key, int]) -> Counter[Key]:
    sums = Counter[Key]()
    for (route, stack), microseconds in stacks.items():
        sums[route, tuple(lines[_function(frame)] for frame in stack)] += microseconds
    return sums


def _function(frame: Frame) -> Frame:
    return frame._replace(line=0)
