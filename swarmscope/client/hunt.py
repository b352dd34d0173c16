"""One search for the capacity as it goes on: where it is, what was measured, what follows."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

from swarmscope.client.capacity import Search
from swarmscope.client.capacity_options import Settings
from swarmscope.client.measurement import Measured, Seconds
from swarmscope.client.objective import Trial
from swarmscope.client.verdict import Percentiles, Verdict, broken_part

CALM_S = 3
LONGEST_DRAIN_WINDOWS = 3
STALL_SHARE = 1.1  # requests/s that more users must bring, or a saturated generator is the limit


@dataclass
class Level:
    """One load that is being tried, or one at which a backlog drains before `next_users`."""

    users: int
    rate: float  # of the ramp, in users a second
    next_users: int | None = None
    ramped: float | None = None  # when all users were there
    trial: Trial | None = None


@dataclass
class Result:
    """What all trials of one level with one outcome measured."""

    figures: Measured = field(default_factory=Measured)
    seconds: float = 0.0

    @property
    def requests_per_s(self) -> float:
        """The rate of finished requests."""
        return self.figures.requests / self.seconds if self.seconds else 0.0


@dataclass
class Hunt:
    """One search as it goes on: where it is, and what the levels measured."""

    settings: Settings
    search: Search
    level: Level
    began: float = field(default_factory=time.monotonic)
    levels: int = 0
    _results: dict[tuple[int, bool], Result] = field(default_factory=lambda: defaultdict(Result))

    def drained(self, seconds: Seconds, until: int) -> bool:
        """Whether nothing was slow for a while before *until*, or has been for too long."""
        ramped = self.level.ramped
        if ramped is None or until < ramped + CALM_S:
            return False
        recent = seconds.between(until - CALM_S, until)
        calm = recent.requests > 0 and not recent.slow
        return calm or until > ramped + LONGEST_DRAIN_WINDOWS * self.settings.window_s

    def trial(self, begin: int) -> Trial:
        """Return the trial of the level that has settled; one that was tried before is seen out."""
        tried = any(users == self.level.users for users, _ in self._results)
        return Trial(self.settings.objective, self.settings.window_s, begin, careful=tried)

    def note(self, held: bool, figures: Measured, seconds: float, saturated: bool) -> bool:
        """Take in what the level did; return whether the generator was the limit."""
        users = self.level.users
        self.levels += 1
        if held or not saturated:  # else the figures are the generator's own
            result = self._results[users, held]
            result.figures.add(figures)
            result.seconds += seconds
        limited = saturated and (not held or self._stalled(users))
        self.search.note(users, held, limited)
        return limited

    def _stalled(self, users: int) -> bool:
        """Whether many more users than before brought hardly any more requests."""
        held = {level: result for (level, held), result in self._results.items() if held}
        fewer = [result.requests_per_s for level, result in held.items() if level * 1.5 <= users]
        return bool(fewer) and held[users].requests_per_s < STALL_SHARE * max(fewer)

    def verdict(self) -> Verdict:
        """Return the answer as it stands."""
        users, broken = self.search.capacity, self.search.broken
        objective = self.settings.objective
        held = self._results[users, True].figures
        limited = self.search.limited_at is not None
        broke = self._results[broken, False].figures if broken is not None else Measured()
        return Verdict(
            users=users,
            requests_per_s=self._results[users, True].requests_per_s,
            total=Percentiles.of(held, "total"),
            app=Percentiles.of(held, "app"),
            queue=Percentiles.of(held, "queue"),
            outside=Percentiles.of(held, "outside"),
            limit_ms=objective.limit_ms,
            fail_ratio=objective.fail_ratio,
            limit="generator" if limited else "bound" if broken is None else "service",
            broken_users=broken,
            broken_p95_ms=broke.percentile_ms("total", 0.95),
            broken_part=None if broken is None else broken_part(objective, held, broke),
            confirmed=self.search.confirmed,
            levels=self.levels,
            seconds=time.monotonic() - self.began,
        )
