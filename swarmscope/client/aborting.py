"""The option ``--check-abort``: ends a run that cannot pass any more, or whose target is dead.

docs/checks.md states the rules. Nothing here takes part in a request: every two seconds, what
Locust has counted is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from swarmscope.client import clock, locust_stats
from swarmscope.client.events import announce
from swarmscope.client.lost_checks import DECIDABLE, RATE_S, Counts, Rate, is_lost
from swarmscope.redaction import stored_name
from swarmscope.runs import outcomes
from swarmscope.runs.selection import Selection
from swarmscope.runs.thresholds import METRICS, Threshold

logger = logging.getLogger(__name__)

EVERY_S = 2.0
DEAD_S = 10.0  # without a single connection
PATIENCE_S = 60.0  # a limit is exceeded for so long where nobody knows how long the run lasts
UNREACHED = (  # of the texts of errors: no request got there
    "ConnectTimeout",
    "Connection refused",
    "ConnectionRefused",
    "Name or service not known",
    "NameResolutionError",
    "Network is unreachable",
    "NewConnectionError",
    "No route to host",
    "gaierror",
)


@dataclass(frozen=True)
class Abort:
    """Why a run was ended early: *threshold* was lost, or the target was dead if it is None."""

    reason: str
    threshold: Threshold | None = None

    def details(self) -> dict[str, Any]:
        """Return what is stored with the run: the key of the threshold that was lost."""
        return {"lost": self.lost}

    @property
    def lost(self) -> str | None:
        """The key of the threshold, None where none was lost."""
        return self.threshold.key if self.threshold else None


class Aborting:
    """Watches the run of a process that leads; `aborted` says how the latest one was ended."""

    def __init__(
        self, environment: Environment, counted: Sequence[Threshold], stored: Sequence[Threshold],
        whole: bool,
    ) -> None:  # fmt: skip
        self.aborted: Abort | None = None
        self._environment = environment
        found = [t for t in (*counted, *stored) if t.metric in DECIDABLE]
        self._late = frozenset(() if whole else stored)  # judged from when ramp-up is complete
        self._watched = {threshold: Watched(threshold) for threshold in found}
        self._endpoints = {threshold.endpoint for threshold in found}
        self._watching: gevent.Greenlet | None = None
        self._begin()
        environment.events.test_start.add_listener(self._on_start)
        environment.events.test_stop.add_listener(self._on_stop)
        environment.events.spawning_complete.add_listener(self._on_ramp_complete)

    def _begin(self) -> None:
        self._started = self._alive = clock.own()
        self._reached = self._unreached = 0  # requests that got there by `_alive`, and others
        self._ramp_complete: float | None = None
        self._watched = {threshold: Watched(threshold) for threshold in self._watched}

    def _on_start(self, **_: object) -> None:
        self.aborted = None
        self._begin()
        self._watching = gevent.spawn(self._watch)

    def _on_stop(self, **_: object) -> None:
        if self._watching and self._watching is not gevent.getcurrent():
            self._watching.kill(block=False)
        self._watching = None

    def _on_ramp_complete(self, **_: object) -> None:
        self._ramp_complete = self._ramp_complete or clock.own()

    def _watch(self) -> None:
        """Look at the run until it is over, or is to be ended."""
        runner = self._environment.runner
        assert runner is not None
        gevent.sleep(EVERY_S)
        while not (found := self._found()):
            gevent.sleep(EVERY_S)
        if runner.state in (STATE_SPAWNING, STATE_RUNNING):
            self._end(found)

    def _end(self, found: Abort) -> None:
        self.aborted = found
        logger.error("%s", found.reason)
        announce(self._environment, "ended_early", found.reason, found.details())
        runner, parsed = self._environment.runner, self._environment.parsed_options
        assert runner is not None
        if parsed and parsed.headless:
            runner.quit()
        else:
            runner.stop()

    def _found(self) -> Abort | None:
        now = clock.own()
        return self._dead(now) or self._lost(now)

    def _dead(self, now: float) -> Abort | None:
        """Return why the target is dead: requests ended, and not one of them got there."""
        stats = self._environment.stats
        errors = [e for e in stats.errors.values() if any(t in str(e.error) for t in UNREACHED)]
        unreached = sum(error.occurrences for error in errors)
        reached = sum(entry.num_requests for entry in stats.entries.values()) - unreached
        if reached != self._reached or unreached < self._unreached or not unreached:  # or reset
            self._reached, self._alive, self._unreached = reached, now, unreached
        is_dead = now - self._alive >= DEAD_S and unreached > self._unreached
        if not is_dead or (self._searches and reached):
            return None
        last = max(errors, key=lambda error: error.last_seen or 0.0)
        text = f"no request reached the target for {now - self._alive:.0f} s ({last.error})"
        return Abort(f"Ended early: {text}")

    @property
    def _searches(self) -> bool:
        """Whether the run searches for the capacity, which overloads its target on purpose."""
        shape = self._environment.shape_class
        return bool(getattr(shape, "seeks_capacity", False))

    def _lost(self, now: float) -> Abort | None:
        """Return which threshold is lost, once nobody starts users any more."""
        if self._environment.shape_class or self._ramp_complete is None:
            return None
        length_s = self._length_s()
        known = {endpoint: self._counts(endpoint) for endpoint in self._endpoints}
        for watched in self._watched.values():
            is_late = watched.threshold in self._late
            counts = known[watched.threshold.endpoint]
            watched.rate.note(now, counts.requests)
            if now < self._ramp_complete + RATE_S:  # workers report what was before
                watched.before = counts if is_late else Counts()
            elif watched.is_lost(counts, now, now - self._started, length_s):
                return Abort(self._sentence(watched, counts, length_s), watched.threshold)
        return None

    def _length_s(self) -> float | None:
        """Return how long the run is to last in all; None if nobody knows."""
        parsed: Any = self._environment.parsed_options
        by_option = parsed.headless or parsed.autostart
        timer = getattr(self._environment.web_ui, "_run_time_greenlet", None)
        return float(parsed.run_time) if parsed.run_time and (by_option or timer) else None

    def _counts(self, wanted: str) -> Counts:
        """Return what has finished of an endpoint, "" for all together."""
        stats = self._environment.stats
        if not wanted:
            text = getattr(self._environment.parsed_options, "slo_requests", "")
            return Counts.of(locust_stats.counted(stats, Selection.parse(text)))
        return Counts.of(
            entry
            for (name, kind), entry in stats.entries.items()
            if f"{stored_name(str(kind))} {stored_name(str(name))}".strip() == wanted
        )

    def _sentence(self, watched: Watched, counts: Counts, length_s: float | None) -> str:
        seen = counts.since(watched.before)
        claim, requests = outcomes.claim(watched.threshold), f"{seen.requests:,} requests"
        if METRICS[watched.threshold.metric].quantile:
            slower = seen.slower(watched.threshold.limit)
            requests = f"{slower:,} of {requests} took longer"
        elif watched.threshold.metric == "fail-ratio":
            requests = f"{seen.failures:,} of {requests} failed"
        if length_s is None:
            return f"Ended early: {claim} was not met for {PATIENCE_S:.0f} s on end ({requests})"
        return f"Ended early: {claim} cannot be met any more ({requests})"


class Watched:
    """A threshold, and what is known of its requests."""

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self.rate = Rate()
        self.before = Counts()  # does not count
        self._exceeded: float | None = None  # since when

    def is_lost(self, counts: Counts, now: float, lasted_s: float, length_s: float | None) -> bool:
        """Return whether it is lost; without a known length, by `PATIENCE_S`."""
        seen = counts.since(self.before)
        if length_s is not None:
            if not self.rate.highest_per_s:
                return False
            return is_lost(self.threshold, seen, self.rate.bound(length_s - lasted_s), length_s)
        if not is_lost(self.threshold, seen, 0, lasted_s):
            self._exceeded = None
            return False
        self._exceeded = self._exceeded or now
        return now - self._exceeded >= PATIENCE_S
