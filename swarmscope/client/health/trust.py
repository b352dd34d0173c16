"""Whether a run's latencies can be trusted: was the generator saturated or its load bursty?"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median, pvariance
from typing import Any

from swarmscope.client.health.probe import WINDOWS_PER_SECOND, Health

ALL_WORKERS = "all"

# Where Locust itself begins to warn. Time in which a process was ready to run and did not counts as
# CPU does: one that is hardly ever idle falls behind, and where others have the CPU it never gets
# to 90 % of a core. Measured on two busy cores: a lag of 1 to 3 ms at 0.8, 7 ms at 0.9.
CPU_RATIO_LIMIT = 0.9
LOOP_LAG_LIMIT_SECONDS = 0.02
MOST = 0.5  # of the time: a loop that lags while its process sleeps was not kept from running
SATURATED_SHARE_LIMIT = 0.1  # of a run's reports
DISPERSION_LIMIT = 5.0  # 1 for Poisson arrivals
MISSED_LIMIT = 0.05  # of the requests: beyond, the objective's percentile does not hold

DISPERSION_SPAN_SECONDS = 30  # longer than the usual pacing period
SETTLING_SECONDS = 4  # a report's interval and a bit: younger windows are still filling
AHEAD_SECONDS = 60  # a worker's clock may be, until it knows the master's
REPORTED_SECONDS = 1  # before a report was received, windows are as full as it makes them


def dispersion(starts: Mapping[int, int], first: int, last: int) -> float | None:
    """Return variance ÷ mean of the requests started in the windows *first* to *last*, inclusive.

    It is 1 for Poisson arrivals, 0 for perfectly even ones, and large for bursts (the index of
    dispersion of counts, Cox and Lewis 1966). None when there is nothing to judge.
    """
    counts = [starts.get(window, 0) for window in range(first, last + 1)]
    if len(counts) < WINDOWS_PER_SECOND or not any(counts):
        return None
    mean = fmean(counts)
    return pvariance(counts, mean) / mean


NOT_JUDGED = (
    f"Arrivals were not judged: the objective never held for {DISPERSION_SPAN_SECONDS} s on end,"
    " and users who wait for slow responses arrive in bursts that the service causes."
)


class Arrivals:
    """Requests started per window in the last half minute, by worker and of all together."""

    def __init__(self) -> None:
        self._starts: dict[str, Counter[int]] = {}
        self._reported: dict[str, float] = {}  # by worker, Unix seconds
        self._begun = 0

    def begin(self, now: float) -> None:
        """Forget what was before *now* (Unix seconds): ramp-up windows do not show bursts."""
        self._starts.clear()
        self._reported.clear()
        self._begun = int(now * WINDOWS_PER_SECOND) + 1

    def add(self, worker: str, starts: Mapping[int, int], now: float) -> None:
        """Take in one report, and drop the windows that are too old to matter, or yet to come."""
        self._reported[worker] = now
        oldest, newest = _oldest(now), int((now + AHEAD_SECONDS) * WINDOWS_PER_SECOND)
        for key in (worker, ALL_WORKERS):
            counts = self._starts.setdefault(key, Counter())
            counts.update(starts)
            for window in [each for each in counts if not oldest <= each <= newest]:
                del counts[window]

    def forget(self, worker: str) -> None:
        """Drop a worker that is gone; what the others sent is judged without it."""
        self._reported.pop(worker, None)
        if starts := self._starts.pop(worker, None):
            self._starts[ALL_WORKERS].subtract(starts)

    def since(self, now: float) -> float:
        """Return the start (Unix seconds) of the span that `dispersion` covers *now*."""
        return max(self._begun, _oldest(now)) / WINDOWS_PER_SECOND

    def dispersion(self, worker: str, now: float) -> float | None:
        """Return the dispersion ratio of a worker's (or `ALL_WORKERS`') settled windows.

        They end with the last report of the slowest worker: a window in which one is missing looks
        like a lull. One that has been silent for the whole span is not waited for.
        """
        heard = (
            self._reported.values() if worker == ALL_WORKERS else [self._reported.get(worker, now)]
        )
        awaited = [at for at in heard if at > now - DISPERSION_SPAN_SECONDS]
        settled = min([now - SETTLING_SECONDS, *(at - REPORTED_SECONDS for at in awaited)])
        last = int(settled * WINDOWS_PER_SECOND)
        span = DISPERSION_SPAN_SECONDS * WINDOWS_PER_SECOND
        first = max(self._begun, _oldest(now), last - span + 1)
        return dispersion(self._starts.get(worker, {}), first, last)


def _oldest(now: float) -> int:
    """Return the first window that matters at *now* (Unix seconds)."""
    return int((now - DISPERSION_SPAN_SECONDS - SETTLING_SECONDS) * WINDOWS_PER_SECOND)


@dataclass(frozen=True)
class Trust:
    """What a run's health reports amount to."""

    reports: int
    saturated_share: float  # of the reports, 0 to 1
    worst_worker: str
    cpu_ratio: float  # of the worst report, as are the next two
    loop_lag_seconds: float
    run_delay_ratio: float | None  # None where the kernel does not count
    dispersion: float | None  # the median while the objective held, of all workers together
    broke: bool = False  # whether arrivals could be judged at no moment, because it did not hold

    @property
    def saturated(self) -> bool:
        """Whether CPU, lag or run delay was over its limit too often."""
        return self.saturated_share > SATURATED_SHARE_LIMIT

    @property
    def bursty(self) -> bool:
        """Whether arrivals were far burstier than random ones while the objective held.

        Where it does not, users who wait for answers come in bursts that the service makes: a
        closed loop over capacity has arrivals that follow completions.
        """
        return self.dispersion is not None and self.dispersion > DISPERSION_LIMIT

    def warning(self) -> str | None:
        """Return one line, or None when there is nothing to warn about."""
        complaints = []
        if self.saturated:
            complaints.append(self._saturation())
        if self.bursty:
            complaints.append(
                f"requests came in bursts (dispersion {self.dispersion:.0f}; random arrivals: 1)"
            )
        if not complaints:
            return None
        return f"Do not trust this run's latencies: {' and '.join(complaints)}."

    def _saturation(self) -> str:
        """Return why the generator is the limit: by its own work, or because others had the CPU."""
        lag = f"event-loop lag {self.loop_lag_seconds * 1000:.0f} ms"
        in_reports = f"in {self.saturated_share:.0%} of its reports (worst {self.worst_worker}:"
        delay = self.run_delay_ratio or 0.0
        if delay > self.cpu_ratio and delay + self.cpu_ratio > MOST:
            return f"the generator was not let run {in_reports} {self._cpu}, {lag})"
        return f"the generator was saturated {in_reports} {self._cpu}, {lag})"

    @property
    def _cpu(self) -> str:
        """What the worst worker got of a core, and how often it got none."""
        cpu = f"CPU {self.cpu_ratio:.0%}"
        if self.run_delay_ratio is None:
            return cpu
        return f"{cpu}, ready to run and did not {self.run_delay_ratio:.0%} of the time"

    def sentence(self) -> str:
        """Return the warning, or a sentence that there is none."""
        sentence = self.warning() or (
            f"The generator kept up, at worst: {self._cpu}, "
            f"event-loop lag {self.loop_lag_seconds * 1000:.0f} ms."
        )
        return f"{sentence} {NOT_JUDGED}" if self.broke else sentence

    def details(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {
            "saturated": self.saturated,
            "bursty": None if self.broke else self.bursty,
            "reports": self.reports,
            "saturated_share": self.saturated_share,
            "worst_worker": self.worst_worker,
            "cpu_ratio": self.cpu_ratio,
            "loop_lag_ms": self.loop_lag_seconds * 1000,
            "run_delay_ratio": self.run_delay_ratio,
            "dispersion": self.dispersion,
        }


class TrustKeeper:
    """Collects the workers' reports of one run, in the process that leads it."""

    def __init__(self) -> None:
        self.latest: dict[str, Health] = {}
        self.arrivals = Arrivals()
        self.begin()

    def begin(self, now: float | None = None) -> None:
        """Start over at *now* (Unix seconds), as at the start of a run."""
        self._ramped = False
        self._reports = self._saturated_reports = 0
        self._worst = ("", Health(0.0, 0.0, {}))
        self._dispersions: deque[float] = deque(maxlen=10_000)
        self._broke_at: float | None = None  # when the objective was missed last
        self._recent: dict[str, Health] = {}  # by worker, of the last interval
        self.arrivals.begin(time.time() if now is None else now)

    def end_ramp(self, now: float | None = None) -> None:
        """Judge what follows *now* (Unix seconds), when all users of a stage are there.

        A run's first ramp is forgotten. Later ones are the stages of a shape: what they saturated
        counts; only their arrivals start over, since a change of rate is not a burst.
        """
        now = time.time() if now is None else now
        if self._ramped:
            self.arrivals.begin(now)
        else:
            self.begin(now)
            self._ramped = True

    def add(self, worker: str, health: Health, now: float | None = None) -> None:
        """Take in one worker's report, received at *now* (Unix seconds)."""
        now = time.time() if now is None else now
        self.latest[worker] = health
        self.arrivals.add(worker, health.starts, now)
        self._reports += 1
        self._saturated_reports += _saturated(health)
        self._worst = max(self._worst, (worker, health), key=_badness)
        self._recent[worker] = health
        finished = sum(one.finished for one in self._recent.values())
        if sum(one.missed for one in self._recent.values()) > MISSED_LIMIT * finished:
            self._broke_at = now
        ratio = self._judged(now)
        if ratio is not None:
            self._dispersions.append(ratio)

    def _judged(self, now: float) -> float | None:
        """Return the dispersion of all, None where the objective was missed in its span."""
        if self._broke_at is not None and self._broke_at > self.arrivals.since(now):
            return None
        return self.arrivals.dispersion(ALL_WORKERS, now)

    def forget(self, worker: str) -> None:
        """Drop a worker that is gone, and its last figures with it."""
        self.latest.pop(worker, None)
        self._recent.pop(worker, None)
        self.arrivals.forget(worker)

    def now(self, now: float) -> tuple[float, float, float | None] | None:
        """Return the highest CPU ratio, the highest lag in seconds, and the dispersion of all.

        They are of the workers' latest reports; None when there are none.
        """
        if not self.latest:
            return None
        latest = list(self.latest.values())
        return (
            max(health.cpu_ratio for health in latest),
            max(health.loop_lag_seconds for health in latest),
            self.arrivals.dispersion(ALL_WORKERS, now),
        )

    def verdict(self) -> Trust | None:
        """Return what the reports since `begin` amount to; None without reports."""
        if not self._reports:
            return None
        worst_worker, worst = self._worst
        return Trust(
            reports=self._reports,
            saturated_share=self._saturated_reports / self._reports,
            worst_worker=worst_worker,
            cpu_ratio=worst.cpu_ratio,
            loop_lag_seconds=worst.loop_lag_seconds,
            run_delay_ratio=worst.run_delay_ratio,
            dispersion=median(self._dispersions) if self._dispersions else None,
            broke=self._broke_at is not None and not self._dispersions,
        )


def _saturated(health: Health) -> bool:
    return _badness(("", health)) > 1


def _badness(report: tuple[str, Health]) -> float:
    """Return the larger ratio of a report's figures to their limits."""
    _, health = report
    return max(busyness(health), health.loop_lag_seconds / LOOP_LAG_LIMIT_SECONDS)


def busyness(health: Health) -> float:
    """Return CPU and run delay together, as a ratio to their limit."""
    return (health.cpu_ratio + (health.run_delay_ratio or 0.0)) / CPU_RATIO_LIMIT
