"""Blocks of turns, until the difference is known well enough or the time is over.

Two figures decide: the service's CPU time per request, which hardly depends on what else the
machine does, and one of latency, by default the median service time. Their intervals hold jointly,
at all looks, with 95 % confidence: each is one of 97.5 % (Bonferroni), and the looks share that
(`spending`). So where A and B are the same, at most 5 % of comparisons say otherwise. The other
figures explain; their intervals hold jointly with 95 % confidence among themselves.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from swarmscope.ab.differences import ORDERS, A, B
from swarmscope.ab.figures import CALLS, CPU, OF_LATENCY, PARTS, Mix
from swarmscope.ab.spending import FIRST_LOOK, Spending, is_look
from swarmscope.ab.turns import Turn
from swarmscope.ab.verdict import FAILING, FigureResult, Verdict, result, verdict
from swarmscope.formatting import percent
from swarmscope.stack.errors import StackError

ALPHA = 0.05  # how often two sides that are the same are called different
SMALL_MS = 0.05  # of a part, or a number of calls; less is not compared
DEFAULT_FIGURE = "service p50"

Serve = Callable[[str], Turn]  # side A or B


@dataclass(frozen=True)
class Wishes:
    """When a trial ends, and what decides it; shares, seconds.

    *max_failing* is by how much more of B's requests may fail before latencies are not compared.
    """

    precision: float = 0.02
    time_s: float = 1200.0
    figure: str = DEFAULT_FIGURE
    max_regression: float = 0.0
    max_failing: float = 0.01
    seed: int = 0


@dataclass
class Trial:
    """The turns so far, by block, and what they say."""

    wishes: Wishes
    titles: tuple[str, str]
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    orders: list[Sequence[str]] = field(default_factory=list)
    blocks: list[list[Turn]] = field(default_factory=list)
    deciding: list[FigureResult] = field(default_factory=list)
    explaining: list[FigureResult] = field(default_factory=list)

    def run(self, serve: Serve) -> Verdict:
        """Take turns until that is enough; return the verdict."""
        wanted, levels = self.wishes, _Levels()
        rng, began = random.Random(wanted.seed), self.clock()
        while True:
            self.orders.append(rng.choice(ORDERS))
            self.blocks.append([serve(side) for side in self.orders[-1]])
            took_s = self.clock() - began
            block_s = took_s / len(self.blocks)
            is_last = took_s + block_s > wanted.time_s
            if failing := self._failing():
                return failing
            if len(self.blocks) == 1:
                self._announce(block_s)
            if not is_last and not is_look(len(self.blocks)):
                self.say(f"{self._progress}.")
                continue
            self._look(levels, 1.0 if is_last else took_s / wanted.time_s)
            self.say(f"{self._progress}: {'; '.join(f.words for f in self.deciding)}")
            if is_last or self._is_enough:
                return verdict(
                    self.titles[1], self.deciding, wanted.precision, wanted.max_regression
                )

    @property
    def turns(self) -> list[Turn]:
        """All turns, in their order."""
        return [turn for block in self.blocks for turn in block]

    @property
    def _progress(self) -> str:
        number = len(self.blocks)
        return f"Block {number} ({' '.join(self.orders[-1])}), {4 * number} turns"

    @property
    def _is_enough(self) -> bool:
        precision = self.wishes.precision
        enough = [found for found in self.deciding if found.is_enough(precision)]
        return len(enough) == len(self.deciding) or any(found.differs for found in enough)

    def _announce(self, block_s: float) -> None:
        number = int(self.wishes.time_s // block_s)
        text = f"A block takes {block_s:.0f} s; at most {max(number, 1)} fit into the time."
        if number < FIRST_LOOK:
            text += f" A verdict takes at least {FIRST_LOOK}: allow more time."
        self.say(text)

    def _failing(self) -> Verdict | None:
        """Return the verdict if more of B's requests fail: their latencies say nothing then."""
        shares = []
        for side in (A, B):
            turns = [turn.figures for turn in self.turns if turn.side == side]
            requests = sum(turn.requests for turn in turns)
            if not requests:
                raise StackError(f"no request to {self.titles[side == B]} was measured")
            shares.append(sum(turn.failures for turn in turns) / requests)
        if shares[1] - shares[0] <= self.wishes.max_failing:
            return None
        a, b = self.titles
        text = f"{b} fails {percent(shares[1])} of requests, {a} {percent(shares[0])}."
        return Verdict(FAILING, text)

    def _look(self, levels: _Levels, share: float) -> None:
        mix = Mix.of([turn.figures for turn in self.turns])
        deciding = self._values(mix, (self.wishes.figure, CPU))
        if not deciding:
            raise StackError("no endpoint had enough requests in each turn: take longer turns")
        others = [n for n in (*OF_LATENCY, *PARTS, *CALLS) if n != self.wishes.figure]
        explaining = self._values(mix, others)
        alphas = levels.at(len(self.blocks), share)
        self.deciding = self._results(deciding, alphas[0])
        self.explaining = self._results(explaining, alphas[1])

    def _values(self, mix: Mix, names: Sequence[str]) -> dict[str, list[list[float]]]:
        """Return the values of figures by block; without those that are unknown, or nothing."""
        found = {}
        for name in names:
            values = [[mix.value(turn.figures, name) for turn in block] for block in self.blocks]
            if all(value and value >= SMALL_MS for block in values for value in block):
                found[name] = [[value or 0.0 for value in block] for block in values]
        return found

    def _results(self, values: dict[str, list[list[float]]], level: float) -> list[FigureResult]:
        return [result(name, self.orders, found, level) for name, found in values.items()]


class _Levels:
    """The levels of both families at each look."""

    def __init__(self) -> None:
        explaining = len(OF_LATENCY) - 1 + len(PARTS) + len(CALLS)
        self._families = (Spending(ALPHA / 2), Spending(ALPHA / explaining))

    def at(self, blocks: int, share: float) -> list[float]:
        """Return the level of an interval that decides, and of one that explains."""
        return [family.level(blocks, share) for family in self._families]
