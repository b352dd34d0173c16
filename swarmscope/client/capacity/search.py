"""Finds the max users at which an objective holds: which load to try next, and when to stop.

Only decisions are here; the shape that drives the levels reports what they did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, log, log2, sqrt

GROWTH = 2.0  # from level to level, until the objective breaks
OPINIONS = 2  # that must agree, on both sides of the answer
MAX_OPINIONS = 5  # on one level, when they differ
MAX_LEVELS = 60


@dataclass(frozen=True)
class Bounds:
    """Where to begin, where to end, and how close to come."""

    start: int
    max: int
    precision: float  # share of the answer, 0.05 is 5 %

    @property
    def levels(self) -> int:
        """How many levels a search takes at most when no level gives different answers."""
        away = max(log2(self.max / self.start), log2(self.start))  # by doubling, or by halving
        narrowing = max(log2(log(GROWTH) / log(1 + self.precision)), 0)
        return ceil(away) + 1 + ceil(narrowing) + 2 * OPINIONS


@dataclass
class Opinions:
    """How often a level held and how often it broke."""

    held: int = 0
    broke: int = 0

    @property
    def undecided(self) -> bool:
        """Whether the level must be tried again before anything follows from it."""
        return self.held == self.broke and self.held + self.broke < MAX_OPINIONS

    @property
    def holds(self) -> bool:
        """The majority's answer; the cautious one if there is none."""
        return self.held > self.broke

    @property
    def sure(self) -> bool:
        """Whether enough agree, and at most one differs."""
        return max(self.held, self.broke) >= OPINIONS and min(self.held, self.broke) <= 1


@dataclass
class Search:
    """Raises the load until it breaks, narrows down, and repeats the levels on both sides.

    `next_users` returns what to try; `note` records what happened. A level that broke or held by
    accident is found out when it is repeated.
    """

    bounds: Bounds
    limited_at: int | None = None  # the generator was the limit, twice in a row
    _levels: dict[int, Opinions] = field(default_factory=dict)
    _limited: bool = False
    _tried: int = 0

    def note(self, users: int, held: bool, limited: bool = False) -> None:
        """Record whether the objective held at *users*; *limited*: the generator was the limit."""
        self._tried += 1
        if limited and self._limited:
            self.limited_at = users
        self._limited = limited
        if limited and not held:
            return
        opinions = self._levels.setdefault(users, Opinions())
        opinions.held += held
        opinions.broke += not held

    @property
    def broken(self) -> int | None:
        """The fewest users at which the objective broke."""
        return min(
            (users for users, opinions in self._levels.items() if not opinions.holds), default=None
        )

    @property
    def capacity(self) -> int:
        """The most users at which the objective held, below any at which it broke; 0 for none."""
        limit = self.broken
        held = (users for users, opinions in self._levels.items() if opinions.holds)
        return max((users for users in held if limit is None or users < limit), default=0)

    @property
    def confirmed(self) -> bool:
        """Whether both sides of the answer were tried more than once, with the same result."""
        return all(self._levels[users].sure for users in self._sides())

    @property
    def narrowed(self) -> bool:
        """Whether both sides of the answer are as close as they are wanted, confirmed or not."""
        unsettled = (*self._doubtful(), *self._unexplored())
        return self.broken is not None and not unsettled

    def next_users(self) -> int | None:
        """Return the number of users to try next; None when the search is over."""
        if self.limited_at is not None or self._tried >= MAX_LEVELS:
            return None
        for users in (*self._doubtful(), *self._unexplored(), *self._unsure()):
            return users
        return None

    def _sides(self) -> list[int]:
        """Return the levels on both sides of the answer: first the one below."""
        return [users for users in (self.capacity, self.broken) if users]

    def _doubtful(self) -> Iterable[int]:
        """Yield levels about which opinions are even, and one that broke below others that held."""
        yield from (users for users, opinions in self._levels.items() if opinions.undecided)
        limit = self.broken
        held_above = (
            u for u, opinions in self._levels.items() if opinions.holds and u > (limit or u)
        )
        if limit is not None and any(held_above) and not self._levels[limit].sure:
            yield limit

    def _unexplored(self) -> Iterable[int]:
        """Yield a level that is further up, or between both sides of the answer."""
        low, high = self.capacity, self.broken
        if high is None:
            if low < self.bounds.max:
                yield min(max(ceil(low * GROWTH), self.bounds.start), self.bounds.max)
        elif low == 0:
            if high > 1:
                yield max(int(high / GROWTH), 1)
        elif high - low > max(1, low * self.bounds.precision):
            yield min(max(round(sqrt(low * high)), low + 1), high - 1)

    def _unsure(self) -> Iterable[int]:
        """Yield the level below to repeat, then the one above."""
        for users in self._sides():
            opinions = self._levels[users]
            if not opinions.sure and opinions.held + opinions.broke < MAX_OPINIONS:
                yield users
