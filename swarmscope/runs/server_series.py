"""The services' metrics during a run, from Prometheus: a bounded set of series."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from string import Template

from swarmscope.runs import call_counts
from swarmscope.runs.call_counts import CallCounts
from swarmscope.runs.counters import Level, is_count
from swarmscope.runs.prometheus import Axis, Line, Prometheus
from swarmscope.runs.resources import named_readings, readings, route_demands
from swarmscope.runs.resources.model import Points, ResourceKey, RouteDemand, Usage
from swarmscope.runs.services import (
    COUNTED,
    MAX_SERVICES,
    Known,
    Place,
    Service,
    Targets,
    belonging,
    serving,
)

MAX_POINTS = 600
MAX_CALLS = 20  # pairs of a service and a place that it calls, those that took the most time
MIN_STEP_S = 2  # the scrape interval of prometheus.yml
MIN_WINDOW_S = 10  # five scrapes, as in rules.yml
RATE_SCRAPES = 4  # in a rate's window, as in Grafana's $__rate_interval
LOOK_BACK_S = 150  # two scrapes a minute apart, at least
NO_TARGETS = Targets()


def rate_window_s(scrape_interval_s: int) -> int:
    """Return the window of a rate: one scrape in it may be late or missing."""
    return max(MIN_WINDOW_S, RATE_SCRAPES * scrape_interval_s)


def _rate(metric: str, by: str = "job", also: str = "") -> str:
    return f'sum by ({by}) (rate({metric}{{job=~"$jobs"{also}}}[${{window}}s]))'


def _quantile(quantile: float, metric: str) -> str:
    return f"1000 * histogram_quantile({quantile:.2f}, {_rate(f'{metric}_bucket', 'job, le')})"


_DURATION, _QUEUE = "flask_http_request_duration_seconds", "flask_http_request_queue_seconds"
_REQUESTS, _TOTAL = _rate(f"{_DURATION}_count"), "flask_http_request_total"
_CPU = 'rate(gunicorn_worker_cpu_seconds_total{job=~"$jobs"}[${window}s])'
_TO = "job, host"
_CALLED, _CALL_SECONDS = "flask_http_outgoing_calls_total", "flask_http_outgoing_seconds_total"
RATES = {  # of the window that ends at the queried moment
    "requests_per_s": _REQUESTS,
    "errors_per_s": f"""{_rate(_TOTAL, also=', status=~"5.."')} or 0 * {_REQUESTS}""",
    "mean_ms": f"1000 * {_rate(f'{_DURATION}_sum')} / {_REQUESTS}",
    "p50_ms": _quantile(0.50, _DURATION),
    "p95_ms": _quantile(0.95, _DURATION),
    "p99_ms": _quantile(0.99, _DURATION),
    "queue_mean_ms": f"1000 * {_rate(f'{_QUEUE}_sum')} / {_rate(f'{_QUEUE}_count')}",
    "queue_p95_ms": _quantile(0.95, _QUEUE),
    "worker_cpu_max_ratio": f"max by (job) ({_CPU})",
    "worker_cpu_mean_ratio": f"avg by (job) ({_CPU})",
}
GAUGES = {
    "in_flight_requests": (
        'max by (job) (max_over_time(flask_http_requests_in_flight{job=~"$jobs"}[${step}s]))'
    ),
    "backlog_connections": (
        'max by (job) (max_over_time(gunicorn_backlog_connections{job=~"$jobs"}[${step}s]))'
    ),
    "workers": 'max by (job) (gunicorn_workers{job=~"$jobs"})',
    "worker_memory_bytes": 'sum by (job) (gunicorn_worker_resident_memory_bytes{job=~"$jobs"})',
}
CALLS = {  # of one service to one place
    "calls_per_s": _rate(_CALLED, _TO),
    "errors_per_s": f"""{_rate(_CALLED, _TO, ', outcome="error"')} or 0 * {_rate(_CALLED, _TO)}""",
    "mean_ms": f"1000 * {_rate(_CALL_SECONDS, _TO)} / {_rate(_CALLED, _TO)}",
}
PLACES = (  # job, instance and address, of every target and of those that say where they listen
    "group by (job, instance) (last_over_time(up[${span}s]))",
    "group by (job, instance, address) (last_over_time(gunicorn_listener_info[${span}s]))",
)
CALLED = f"sum by ({_TO}) (increase({_CALLED}[${{span}}s])) > 0"
COUNTING = f"sum by (job) (increase({_DURATION}_count[${{span}}s])) > 0"
SCRAPES = f'up{{job=~"$jobs"}}[{LOOK_BACK_S}s]'


@dataclass(frozen=True)
class CallKey:
    """One quantity of the calls of *job* to *host*, ``NAME:PORT``."""

    job: str
    host: str
    name: str


@dataclass(frozen=True)
class Capture:
    """Series on one axis: element *i* is at `since` + *i* × `step_s`, None where unknown.

    *services* are the run's, *calls* are theirs; *places* says which of them is at a call's host.
    """

    since: datetime
    step_s: float
    series: Mapping[tuple[str, str], Points]  # by (job, name)
    services: tuple[Service, ...] = ()
    calls: Mapping[CallKey, Points] = field(default_factory=dict)
    places: Mapping[str, str | None] = field(default_factory=dict)
    counts: CallCounts | None = None  # None: of a version that did not count
    resources: Mapping[ResourceKey, Usage] = field(default_factory=dict)
    demands: Sequence[RouteDemand] = ()


def read(
    url: str,
    since: datetime,
    until: datetime,
    targets: Targets = NO_TARGETS,
    levels: Sequence[Level] = (),
) -> Capture:
    """Return the series of [since, until] of a run's services, from the Prometheus at *url*.

    At most `MAX_POINTS` points and `MAX_SERVICES` services. If *targets* lead to no service, they
    are those that counted most requests. Raises `prometheus.Unavailable`.
    """
    asked = _Asked(Prometheus(url), since, until)
    known = asked.known()
    services = belonging(targets, known) or asked.counting()
    asked = asked.about(services)
    found = asked.resources(targets)
    if not services:
        step_s = float(asked.axis.step_s)
        return Capture(since, step_s, found.series, resources=found.resources)
    calls = asked.calls() if known.calls else {}
    hosts = {key.host for key in calls}
    return Capture(
        since,
        float(asked.axis.step_s),
        dict(sorted((asked.series() | found.series).items())),
        tuple(services),
        calls,
        {host: min(serving(host, known.places), default=None) for host in hosts},
        call_counts.read(url, since, until, asked.pattern, asked.scrape_s, levels),
        found.resources,
        asked.demands(levels, found.resources),
    )


def find(url: str, since: datetime, until: datetime, targets: Targets) -> list[Service]:
    """Return the services of a run that *targets* lead to; none if they lead nowhere.

    Raises `prometheus.Unavailable`.
    """
    return belonging(targets, _Asked(Prometheus(url), since, until).known())


@dataclass(frozen=True)
class _Asked:
    """Questions about [since, until]; *jobs* is a regular expression in a PromQL string."""

    prometheus: Prometheus
    since: datetime
    until: datetime
    jobs: str = ".+"
    scrape_s: int = MIN_STEP_S

    @property
    def span_s(self) -> float:
        return max((self.until - self.since).total_seconds(), MIN_STEP_S)

    @property
    def axis(self) -> Axis:
        step_s = max(MIN_STEP_S, self.scrape_s, ceil(self.span_s / (MAX_POINTS - 1)))
        return Axis(self.since.timestamp(), step_s, int(self.span_s // step_s) + 1)

    @property
    def window_s(self) -> int:
        """The width of a rate."""
        return max(rate_window_s(self.scrape_s), self.axis.step_s)

    @property
    def pattern(self) -> str:
        """The regular expression of the jobs, outside of PromQL."""
        return str(json.loads(f'"{self.jobs}"'))

    def about(self, services: Sequence[Service]) -> _Asked:
        """Return the same questions about *services* only; without *jobs* if there are none."""
        if not services:
            return replace(self, jobs="")
        jobs = "|".join(re.escape(service.name) for service in services)
        asked = replace(self, jobs=json.dumps(jobs, ensure_ascii=False)[1:-1])
        return replace(asked, scrape_s=asked.scrape_interval_s())

    def known(self) -> Known:
        """Return all places, and who called what."""
        found = [line.metric for text in PLACES for line in self._at_the_end(text)]
        calls = [line.metric for line in self._at_the_end(CALLED)]
        places = (
            Place(at.get("job", ""), at.get("instance", ""), at.get("address", "")) for at in found
        )
        return Known(list(places), [(call.get("job", ""), call.get("host", "")) for call in calls])

    def counting(self) -> list[Service]:
        """Return the services that counted most requests."""
        counts = {
            line.metric.get("job", ""): value
            for line in self._at_the_end(COUNTING)
            if line.value and is_count(value := float(line.value[1]))
        }
        names = sorted(counts, key=lambda job: (-counts[job], job))[:MAX_SERVICES]
        return [Service(name, COUNTED) for name in names]

    def scrape_interval_s(self) -> int:
        """Return the services' usual scrape interval; ours if nobody knows."""
        times = [[at for at, _ in line.values] for line in self._at_the_end(SCRAPES)]
        gaps = [later - at for line in times for at, later in pairwise(line)]
        return max(MIN_STEP_S, round(median(gaps))) if gaps else MIN_STEP_S

    def series(self) -> dict[tuple[str, str], Points]:
        """Return each quantity of each service, by (job, name)."""
        return {
            (line.metric.get("job", ""), name): self.axis.values(line)
            for name, text in (RATES | GAUGES).items()
            for line in self._over_time(text, is_rate=name in RATES)
        }

    def calls(self) -> dict[CallKey, Points]:
        """Return each quantity of the calls that took the most time."""
        found = {
            CallKey(line.metric.get("job", ""), line.metric.get("host", ""), name): (
                self.axis.values(line)
            )
            for name, text in CALLS.items()
            for line in self._over_time(text, is_rate=True)
        }
        taken = {(key.job, key.host): 0.0 for key in found}
        for job, host in taken:
            rate = found.get(CallKey(job, host, "calls_per_s"), [])
            mean = found.get(CallKey(job, host, "mean_ms"), [])
            taken[job, host] = sum((a or 0) * (b or 0) for a, b in zip(rate, mean, strict=False))
        kept = sorted(taken, key=lambda pair: (-taken[pair], pair))[:MAX_CALLS]
        return {key: values for key, values in found.items() if (key.job, key.host) in kept}

    def resources(self, targets: Targets) -> readings.Readings:
        """Return the resources of the services and the generator, and those that the run names."""
        found = readings.read(self.prometheus, self.axis, self.window_s, self.jobs)
        another = Prometheus(self.prometheus.url)  # whose patience is its own
        settings = named_readings.read(another, self.axis, self.window_s, targets.resources)
        found.resources.update(settings)
        return found

    def demands(self, levels: Sequence[Level], known: Collection[ResourceKey]) -> list[RouteDemand]:
        """Return the demands by route, of the run and of its *levels*."""
        return route_demands.read(
            self.prometheus.url, self.since, self.until, self.pattern, self.scrape_s, levels, known
        )

    def _at_the_end(self, text: str) -> list[Line]:
        query = Template(text).substitute(jobs=self.jobs, span=ceil(self.span_s))
        return self.prometheus.at(self.until.timestamp(), query)

    def _over_time(self, text: str, is_rate: bool) -> list[Line]:
        values = {"jobs": self.jobs, "window": self.window_s, "step": self.axis.step_s}
        shift_s = self.window_s / 2 if is_rate else 0.0
        return self.prometheus.over(self.axis, Template(text).substitute(values), shift_s)


def settled(until: datetime) -> datetime:
    """Return when Prometheus has all of a run that ended at *until*: half a window later."""
    return until.astimezone(UTC) + timedelta(seconds=MIN_WINDOW_S / 2 + MIN_STEP_S)
