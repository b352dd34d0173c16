"""Was the verdict right, and did its ceilings hold?"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.starved.cases import Case
from swarmscope.runs.document import Cause

WITHIN = 0.15  # of the measured capacity
UNKNOWN = "unknown"
NOTHING = "nothing"


@dataclass(frozen=True)
class Ceiling:
    """A resource's ceiling, forecast from the level that held, and what could be sent through it.

    In requests/s; *forecast* is None where the run did not say. Of a lock that nobody waits for
    nothing is known: its ceiling is that of the level that broke (*is_late*).
    """

    kind: str
    forecast: float | None
    measured: float
    is_late: bool = False

    @property
    def error(self) -> float | None:
        """By what share the forecast was too high."""
        return None if self.forecast is None else self.forecast / self.measured - 1

    @property
    def holds(self) -> bool:
        """Whether the forecast is near enough."""
        return self.error is not None and abs(self.error) <= WITHIN

    def __str__(self) -> str:
        if self.error is None:
            return f"? / {self.measured:.1f}"
        late = " as it broke" if self.is_late else ""
        return f"{self.forecast:.1f}{late} / {self.measured:.1f} ({self.error:+.0%})"


@dataclass(frozen=True)
class Judged:
    """A case of one round, and what is wrong with it."""

    round: int
    case: Case
    verdict: str
    sentence: str
    ceiling: Ceiling | None = None
    second: Ceiling | None = None
    others: float | None = None  # cores that others used as it broke, the rest of the stack too
    full: dict[str, float] = field(default_factory=dict)  # use of the truth's places as it broke
    skipped: str = ""
    wrong: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return its row of the table, see `HEAD`."""
        truth = " and ".join(sorted(self.case.truth)) or NOTHING
        result = f"not run here: {self.skipped}" if self.skipped else "; ".join(self.wrong) or "yes"
        others = "" if self.others is None else f"{self.others:.1f}"
        ceilings = (self.ceiling or "", self.second or "")
        cells = (self.case.name, truth, self.verdict, *ceilings, others, result)
        return f"| {' | '.join(map(str, cells))} |"


HEAD = """\
| case | truth | verdict | ceiling: forecast / measured | the next one | others' cores | right? |
|---|---|---|---|---|---|---|"""


def named(cause: Cause | None) -> set[str]:
    """Return the kinds that a verdict names."""
    if cause is None or cause.kind == UNKNOWN:
        return set()
    return {cause.kind, *(other.kind for other in cause.also)}


def verdict(cause: Cause | None) -> str:
    """Return what a verdict names, in a word or two."""
    return " and ".join(sorted(named(cause))) or (UNKNOWN if cause else NOTHING)


def wrong_name(case: Case, cause: Cause | None) -> str:
    """Return what is wrong with the names in a verdict, "" if it is right."""
    found = named(cause)
    if case.kind == "one" and cause and cause.kind in case.truth | case.also:
        where = f"{cause.words} {cause.service} {cause.detail} {cause.sentence}".lower()
        return "" if case.word in where else f"does not say {case.word!r}"
    if case.kind == "two" and (not found or found >= case.truth):
        return ""
    if case.kind == "none" and not found:
        return ""
    return f"says {verdict(cause)}"


def wrong_ceiling(ceiling: Ceiling | None) -> str:
    """Return what is wrong with a ceiling, "" if it is right."""
    if ceiling is None or ceiling.holds:
        return ""
    if ceiling.error is None:
        return f"no ceiling of {ceiling.kind}"
    return f"ceiling of {ceiling.kind} off by {ceiling.error:+.0%}"
