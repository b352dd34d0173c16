"""All workers' answers as one profile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from swarmscope.pprof import Location, Types
from swarmscope.sampling.stacks import Stack


@dataclass
class WorkersProfile:
    """A profile of all workers: sums of samples by route and stack, and what there is to note."""

    types: Types
    seconds: float
    hz: float
    began: float  # Unix seconds
    program: str
    notes: list[str] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    sums: defaultdict[tuple[str, Stack], list[int]] = field(init=False)
    workers: int = 0  # that were sampled

    def __post_init__(self) -> None:
        """Begin with sums of 0."""
        self.sums = defaultdict(lambda: [0] * len(self.types))
        self._numbers: dict[Location, int] = {}

    def add(self, answer: dict[str, Any]) -> None:
        """Add a worker's *answer*; raises KeyError, TypeError or ValueError if it is none."""
        name = f"worker {answer['slot']} (pid {answer['pid']})"
        if "stacks" not in answer:
            self.notes.append(f"{name} was not sampled: {answer['note']}")
            return
        numbers = [self._number(*location) for location in answer["locations"]]
        for route, stack, amounts in answer["stacks"]:
            sums = self.sums[route, tuple(numbers[number] for number in stack)]
            for place, amount in enumerate(amounts):
                sums[place] += max(0, int(amount))
        self.workers += 1
        self.notes.append(f"{name}: {_figures(answer)}")
        if answer["note"]:
            self.notes.append(f"{name} was sampled in part: {answer['note']}")

    def _number(self, function: str, file: str, first: int, line: int) -> int:
        location = (str(function), str(file), max(0, int(first)), max(0, int(line)))
        number = self._numbers.setdefault(location, len(self.locations))
        if number == len(self.locations):
            self.locations.append(location)
        return number


def merged(profile: WorkersProfile, answers: Iterable[dict[str, Any]]) -> WorkersProfile:
    """Add all *answers* to *profile* and return it; one that cannot be understood is noted."""
    for answer in answers:
        try:
            profile.add(answer)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            profile.notes.append(f"an answer cannot be understood: {error!r}")
    return profile


def _figures(answer: dict[str, Any]) -> str:
    """Return a worker's CPU time, and how late its probe thread woke: the wait for GIL or CPU."""
    cpu_s, own_s = answer["cpu_s"], answer["own_cpu_s"]
    text = f"{cpu_s:.2f} s of CPU time in {answer['seconds']:.1f} s, {own_s:.3f} s of it to sample"
    if delays := [f"{1000 * delay:.1f}" for delay in answer["wake_delays_s"]]:
        text += "; a thread woke up late by {} ms (median), {} (p95), {} (max)".format(*delays)
    return text
