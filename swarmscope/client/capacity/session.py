"""One capacity search in progress: where it is, what was measured, what follows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swarmscope.client.capacity.figures import Measured, Seconds
from swarmscope.client.capacity.level import BROKE, HELD, UNDECIDED
from swarmscope.client.capacity.search import Search
from swarmscope.client.capacity.settings import FASTEST_RAMP, RAMP_S, SearchSettings
from swarmscope.client.capacity.spawning import SpawnWatch
from swarmscope.client.capacity.trial import Trial
from swarmscope.client.capacity.verdict import (
    CapacityVerdict,
    EarlyEnd,
    Percentiles,
    broken_part,
)

if TYPE_CHECKING:
    from swarmscope.runs.document import Cause, LevelFigures

CALM_S = 3
MAX_DRAIN_WINDOWS = 3
TOLERANCE_SHARE = 0.5  # of the precision: the share of a level's users that may be missing
OF_GENERATOR = {"generator", "generator_cpu"}  # kinds of a cause: no limit of the application
STALL_SHARE = 1.1  # requests/s that more users must bring, or a saturated generator is the limit


@dataclass
class CurrentLevel:
    """One load that is being tried, or one at which a backlog drains before `next_users`."""

    users: int
    rate: float  # of the ramp, in users per second
    spawning: SpawnWatch
    next_users: int | None = None
    ramped: float | None = None  # when all users were there
    trial: Trial | None = None

    @classmethod
    def of(
        cls, settings: SearchSettings, before: int, users: int, next_users: int | None = None
    ) -> CurrentLevel:
        """Return the level of *users* that follows one of *before* users."""
        tolerance = int(users * settings.bounds.precision * TOLERANCE_SHARE)
        spawning = SpawnWatch(users, tolerance, time.monotonic())
        return cls(users, ramp_rate(before, users), spawning, next_users)


@dataclass
class Result:
    """What all trials of one level with one outcome measured."""

    figures: Measured = field(default_factory=Measured)
    seconds: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)  # of Unix seconds

    @property
    def requests_per_s(self) -> float:
        """The rate of finished requests."""
        return self.figures.requests / self.seconds if self.seconds else 0.0


@dataclass
class Session:
    """One search in progress: where it is, and what its levels measured."""

    settings: SearchSettings
    search: Search
    level: CurrentLevel
    began: float = field(default_factory=time.monotonic)
    levels: int = 0
    notes: tuple[str, ...] = ()  # that follow the verdict
    _results: dict[tuple[int, bool], Result] = field(default_factory=lambda: defaultdict(Result))

    @property
    def remaining_s(self) -> float:
        """How much of the search's time is left."""
        return self.began + self.settings.max_s - time.monotonic()

    def fits(self, users: int) -> bool:
        """Whether there is time to go to *users* and measure them for half a window."""
        ramp_s = abs(users - self.level.users) / ramp_rate(self.level.users, users)
        least_s = self.settings.level_s - self.settings.window_s / 2
        return self.remaining_s > least_s + max(ramp_s - RAMP_S, 0)

    def drained(self, seconds: Seconds, until: int) -> bool:
        """Whether nothing was slow for a while before *until*, or has been for too long."""
        ramped = self.level.ramped
        if ramped is None or until < ramped + CALM_S:
            return False
        recent = seconds.between(until - CALM_S, until)
        calm = recent.requests > 0 and not recent.slow
        return calm or until > ramped + MAX_DRAIN_WINDOWS * self.settings.window_s

    def trial(self, begin: int) -> Trial:
        """Return a trial of the warmed-up level; one that was tried before is measured in full."""
        tried = any(users == self.level.users for users, _ in self._results)
        return Trial(self.settings.objective, self.settings.window_s, begin, careful=tried)

    def report(
        self, held: bool | None, figures: Measured, seconds: float, saturated: bool, limited: bool
    ) -> LevelFigures:
        """Return what a level did in *seconds*; *held* is None where nothing was decided."""
        from swarmscope.runs.document import LevelFigures  # which no worker needs

        endpoint = None if held else self.settings.objective.broken_endpoint(figures)
        own = figures.endpoints.get(endpoint or "", Measured())
        requests = figures.requests
        return LevelFigures(
            users=self.level.users,
            outcome={True: HELD, False: BROKE, None: UNDECIDED}[held],
            measured_s=seconds,
            requests=requests,
            requests_per_s=requests / seconds if seconds > 0 else None,
            fail_ratio=figures.failed / requests if requests else None,
            p50_ms=figures.percentile_ms("response", 0.5),
            p95_ms=figures.percentile_ms("response", 0.95),
            p99_ms=figures.percentile_ms("response", 0.99),
            service_p95_ms=figures.percentile_ms("service", 0.95),
            queue_p95_ms=figures.percentile_ms("queue", 0.95),
            outside_p95_ms=figures.percentile_ms("outside", 0.95),
            broken_endpoint=endpoint,
            endpoint_p95_ms=own.percentile_ms("response", 0.95),
            saturated=saturated,
            limited=limited,
        )

    def note(
        self, held: bool, figures: Measured, seconds: float, saturated: bool, until: float = 0.0
    ) -> bool:
        """Take in what the level did in the *seconds* before *until* (Unix).

        Return whether the generator was the limit.
        """
        users = self.level.users
        self.levels += 1
        if held or not saturated:  # else the figures are the generator's own
            result = self._results[users, held]
            result.figures.add(figures)
            result.seconds += seconds
            result.spans.append((until - seconds, until))
        limited = saturated and (not held or self._stalled(users))
        self.search.note(users, held, limited)
        return limited

    def _stalled(self, users: int) -> bool:
        """Whether many more users than before brought hardly any more requests."""
        held = {level: result for (level, held), result in self._results.items() if held}
        fewer = [result.requests_per_s for level, result in held.items() if level * 1.5 <= users]
        return bool(fewer) and held[users].requests_per_s < STALL_SHARE * max(fewer)

    def sides(self) -> tuple[Result, Result] | None:
        """Return the highest level that held and the lowest that broke; None if none broke."""
        broken = self.search.broken
        if broken is None or not self._results[broken, False].spans:
            return None
        return self._results[self.search.capacity, True], self._results[broken, False]

    def verdict(
        self,
        ending: EarlyEnd | None = None,
        left_out: Mapping[str, int] | None = None,
        cause: Cause | None = None,
    ) -> CapacityVerdict:
        """Return the answer so far; *ending* says what ended a search early.

        *left_out* are requests that do not count, by type; *cause* is what broke, if it is known.
        """
        users = self.search.capacity
        objective, selection = self.settings.objective, self.settings.selection
        return CapacityVerdict(
            users=users,
            requests_per_s=self._results[users, True].requests_per_s,
            **self._percentiles(users),
            limit_ms=objective.limit_ms,
            fail_ratio=objective.fail_ratio,
            objective=objective.words(),
            limit=self._limit(ending, cause),
            reason="" if ending is None else ending.reason,
            **self._broken(users),
            confirmed=self.search.confirmed,
            levels=self.levels,
            seconds=time.monotonic() - self.began,
            requests=selection.text,
            left_out=dict(left_out or {}),
            cause=cause,
            notes=(*self.notes, *filter(None, [selection.left_out(left_out or {})])),
        )

    def _percentiles(self, users: int) -> dict[str, Any]:
        held = self._results[users, True].figures
        return {
            part: Percentiles.of(held, part) for part in ("response", "service", "queue", "outside")
        }

    def _broken(self, users: int) -> dict[str, Any]:
        """Return what broke beyond *users*, at the endpoint whose own limit it was, if any."""
        broken, objective = self.search.broken, self.settings.objective
        held = self._results[users, True].figures
        broke = self._results[broken, False].figures if broken is not None else Measured()
        endpoint = objective.broken_endpoint(broke)
        if endpoint and objective.holds_together(broke):
            held, broke = held.endpoints.get(endpoint, Measured()), broke.endpoints[endpoint]
        else:
            endpoint = None
        part = None if broken is None else broken_part(objective.of(endpoint), held, broke)
        return {
            "broken_users": broken,
            "broken_endpoint": endpoint,
            "broken_p95_ms": broke.percentile_ms("response", 0.95),
            "broken_fail_ratio": broke.failed / broke.requests if broke.requests else None,
            "broken_part": part,
        }

    def _limit(self, ending: EarlyEnd | None, cause: Cause | None) -> str:
        """Return what ended the search; one that had only repetitions before it has its answer."""
        names = {cause.kind, *(one.kind for one in cause.also)} if cause else {""}
        if ending is not None and not self.search.narrowed:
            return ending.limit
        if self.search.limited_at is not None or names <= OF_GENERATOR:
            return "generator"
        return "bound" if self.search.broken is None else "service"


def ramp_rate(before: int, after: int) -> float:
    """Return the users to start or stop per second for a short ramp that Locust can follow."""
    return max(min(abs(after - before) / RAMP_S, FASTEST_RAMP), 1.0)
