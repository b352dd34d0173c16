"""What a run used of its resources over the judged time, for thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from swarmscope.runs.prometheus import Axis, Prometheus, Unavailable
from swarmscope.runs.resources.model import Points, ResourceKey
from swarmscope.runs.server_series import MAX_POINTS, MIN_STEP_S, Capture
from swarmscope.runs.thresholds import METRICS, PROMQL, RUN_DELAY, Threshold

MIN_KNOWN = 0.5  # of the moments in the judged time


@dataclass(frozen=True)
class JudgedTime:
    """The time from *since* to *until* of a run, in its *capture* and its Prometheus."""

    capture: Capture | None
    since: datetime
    until: datetime
    prometheus: str | None = None

    def figure(self, threshold: Threshold) -> tuple[float | None, str]:
        """Return what *threshold* limits, as a mean over the time, and why it is None.

        Of several resources or series that are meant it is the one nearest to the limit.
        """
        kind = METRICS[threshold.metric].resource
        if kind == PROMQL:
            return self._promql(threshold)
        if self.capture is None:
            return None, "the services' metrics were not stored with the run"
        found = self._run_delays() if kind == RUN_DELAY else self._uses(kind)
        means: dict[str, float] = {}
        for names, mean in found:
            means |= {name: max(mean, means.get(name, mean)) for name in ("", *names)}
        return means.get(threshold.endpoint), _missing(threshold, means)

    def _uses(self, kind: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield the names of each resource of *kind*, and its mean use (1: all of it)."""
        assert self.capture is not None
        for key, usage in self.capture.resources.items():
            mean = self._ratio(usage.used, usage.places) if key.kind == kind else None
            if mean is not None:
                yield _names(key), mean

    def _run_delays(self) -> Iterator[tuple[tuple[str, ...], float]]:
        assert self.capture is not None
        for (job, name), delays in self.capture.series.items():
            if name == "run_delay_ms":
                rates = self.capture.series.get((job, "requests_per_s"), [])
                pairs = zip(delays, rates, strict=False)
                spent = [None if None in (d, r) else (d or 0.0) * (r or 0.0) for d, r in pairs]
                mean = self._ratio(spent, rates)
                if mean is not None:
                    yield (job,), mean

    def _ratio(self, part: Points, whole: Points) -> float | None:
        """Return the sum of *part* ÷ that of *whole*; None if too little of them is known."""
        assert self.capture is not None
        ends = ((at - self.capture.since).total_seconds() for at in (self.since, self.until))
        first, last = (max(0, round(end / self.capture.step_s)) for end in ends)
        both = list(zip(part, whole, strict=False))[first : last + 1]
        known = [(a, b) for a, b in both if a is not None and b is not None]
        total = sum(b for _, b in known)
        if not total or len(known) < MIN_KNOWN * len(both):
            return None
        return sum(a for a, _ in known) / total

    def _promql(self, threshold: Threshold) -> tuple[float | None, str]:
        if self.prometheus is None:
            return None, "no Prometheus is known: set PROMETHEUS_URL"
        span_s = (self.until - self.since).total_seconds()
        step_s = max(MIN_STEP_S, ceil(span_s / (MAX_POINTS - 1)))
        axis = Axis(self.since.timestamp(), step_s, int(span_s // step_s) + 1)
        try:
            lines = Prometheus(self.prometheus).over(axis, threshold.endpoint)
        except Unavailable as error:
            return None, str(error)
        known = [[v for v in axis.values(line) if v is not None] for line in lines]
        means = [sum(values) / len(values) for values in known if values]
        worst = min if threshold.at_least else max
        return worst(means, default=None), f"Prometheus has no value of {threshold.endpoint}"


def _missing(threshold: Threshold, means: Mapping[str, float]) -> str:
    """Return why there is no figure, with the names that have one."""
    label = METRICS[threshold.metric].label
    if not threshold.endpoint or not means:
        return f"{label} was not measured"
    others = ", ".join(sorted(filter(None, means)))
    return f"{label} of {threshold.endpoint!r} was not measured; there are {others}"


def _names(key: ResourceKey) -> tuple[str, ...]:
    """Return what a threshold may call a resource: by its service, its own name, or both."""
    return tuple(filter(None, (key.job, key.detail, f"{key.job} {key.detail}".strip())))
