"""What the turns so far say of each figure, when that is enough, and the verdict in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1, isfinite, log
from statistics import fmean

from swarmscope.ab.differences import A, B, Block, estimate
from swarmscope.ab.figures import CPU

SLOWER, FASTER, SAME, UNDECIDED, FAILING = "slower", "faster", "same", "undecided", "failing"


@dataclass(frozen=True)
class FigureResult:
    """A figure of both sides, in ms or calls, and its change from A to B.

    *change* and the ends of its interval are relative; an end is None if it is not bounded.
    """

    name: str
    a: float
    b: float
    change: float
    low: float | None
    high: float | None

    @property
    def differs(self) -> bool:
        """Whether the interval leaves no doubt of that."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)

    @property
    def half_width(self) -> float | None:
        """Half the interval's width."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2

    def is_enough(self, precision: float) -> bool:
        """Whether it is known to *precision*, or known to have changed by more than that."""
        if self.low is None or self.high is None or self.half_width is None:
            return False
        return self.half_width <= precision or self.low > precision or self.high < -precision

    @property
    def size(self) -> str:
        """The change without its sign: ``3.1 % (2.2 to 4.0 %)``."""
        sign = -1 if self.change < 0 else 1
        ends = [None if end is None else sign * end for end in (self.low, self.high)[::sign]]
        texts = ["?" if end is None else f"{100 * end:.1f}" for end in ends]
        return f"{100 * abs(self.change):.1f} % ({texts[0]} to {texts[1]} %)"

    @property
    def words(self) -> str:
        """The change with its sign: ``service p50 +3.1 % (+2.2 to +4.0 %)``."""
        low, high = ("?" if e is None else f"{100 * e:+.1f}" for e in (self.low, self.high))
        return f"{self.name} {100 * self.change:+.1f} % ({low} to {high} %)"


def result(
    name: str, orders: Sequence[Sequence[str]], values: Sequence[Sequence[float]], level: float
) -> FigureResult:
    """Return a figure's result from its *values* by block, all above 0, taken in *orders*."""
    logs = [[log(value) for value in block] for block in values]
    blocks = [Block(order, block) for order, block in zip(orders, logs, strict=True)]
    found = estimate([block.difference for block in blocks], level)
    a, b = (exp(fmean(x for block in blocks for x in block.of(side))) for side in (A, B))
    low, high = (_relative(end) for end in (found.low, found.high))
    return FigureResult(name, a, b, expm1(found.value), low, high)


def _relative(end: float) -> float | None:
    return expm1(end) if isfinite(end) and end < 50 else None


@dataclass(frozen=True)
class Verdict:
    """What was found: *kind* is slower, faster, same, undecided or failing."""

    kind: str
    text: str


def verdict(
    name: str, deciding: Sequence[FigureResult], precision: float, max_regression: float
) -> Verdict:
    """Return the verdict on side B, called *name*, from the figures that decide."""
    worse = [found for found in deciding if found.differs and found.change > 0]
    better = [found for found in deciding if found.differs and found.change < 0]
    if worse:
        text = _sentences(name, [*worse, *better])
        is_more = any(found.change > max_regression for found in worse)
        if not is_more:
            text += f" That is within the {100 * max_regression:g} % that are allowed."
        return Verdict(SLOWER if is_more else SAME, text)
    if better:
        return Verdict(FASTER, _sentences(name, better))
    listed = "; ".join(found.words for found in deciding)
    ends = [end for found in deciding for end in (found.low, found.high)]
    if all(found.is_enough(precision) for found in deciding):
        most = max(abs(end) for end in ends if end is not None)
        return Verdict(SAME, f"No difference larger than {100 * most:.1f} %: {listed}.")
    return Verdict(UNDECIDED, f"Not enough turns: {listed}.")


def _sentences(name: str, results: Sequence[FigureResult]) -> str:
    subjects = [name, *["It"] * len(results)]
    return " ".join(map(_sentence, subjects, results))


def _sentence(name: str, found: FigureResult) -> str:
    if found.name == CPU:
        more = "more" if found.change > 0 else "less"
        return f"{name} takes {found.size} {more} CPU time per request."
    kind = SLOWER if found.change > 0 else FASTER
    return f"{name} is {found.size} {kind} at {found.name}."
