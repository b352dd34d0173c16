"""PromQL for the resources of a run: what services and the load generator measured of themselves.

A quantity is a mean over the window that ends at the queried moment: rates of counters, means of
gauges. All are asked in one query, told apart by the label `quantity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template

from swarmscope.runs.prometheus import Axis, Prometheus
from swarmscope.runs.resources.model import Points

DETAILS = ("pool", "host", "part")  # labels: of one quantity there is one of them


def _rate(metric: str, by: str = "job", also: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{$who{also}}}[${{window}}s]))"


def _mean(metric: str, by: str = "job", also: str = "", how: str = "sum") -> str:
    return f"{how} by ({by}) (avg_over_time({metric}{{$who{also}}}[${{window}}s]))"


def _pool(state: str) -> str:
    return _mean("flask_db_pool_connections", "job, pool", f', state="{state}"')


def _state(metric: str, state: str) -> str:
    return _mean(metric, also=f', state="{state}"')


MACHINE = {
    "cpus": _mean("machine_cpus"),
    "quota": _mean("machine_cpu_quota"),
    "cpu_own": _rate("machine_cpu_seconds_total", also=', whose="own"'),
    "cpu_others": _rate("machine_cpu_seconds_total", also=', whose="others"'),
    "cpu_steal": _rate("machine_cpu_steal_seconds_total"),
    "cpu_throttled": _rate("machine_cpu_throttled_seconds_total"),
    "cpu_pressure": _rate("machine_cpu_pressure_seconds_total"),
    "memory_pressure": _rate("machine_memory_pressure_seconds_total"),
    "io_pressure": _rate("machine_io_pressure_seconds_total"),
    "memory_limit": _state("machine_memory_bytes", "limit"),
    "memory_used": _state("machine_memory_bytes", "used"),
    "ports_limit": _state("machine_local_ports", "limit"),
    "ports_used": _state("machine_local_ports", "used"),
    "listen_overflows": _rate("machine_listen_overflows_total"),
}
SERVICE = {
    "requests": _rate("flask_http_request_duration_seconds_count"),
    "held": _rate("flask_http_request_held_seconds_total"),
    "concurrency": _mean("gunicorn_concurrency_limit"),
    "workers": _mean("gunicorn_workers"),
    "worker_cpu": _rate("gunicorn_worker_cpu_seconds_total"),
    "run_delay": _rate("gunicorn_worker_run_delay_seconds_total"),
    "wake_delay": _rate("gunicorn_worker_wake_delay_seconds_total"),
    "wakes": _rate("gunicorn_worker_wakes_total"),
    "queued": _mean("gunicorn_worker_queued_connections"),
    "loop_lag": _mean("gunicorn_worker_loop_lag_seconds", how="avg"),
    "backlog": _mean("gunicorn_backlog_connections"),
    "backlog_limit": _mean("gunicorn_backlog_limit"),
    "files": _mean("gunicorn_worker_open_files", how="max"),
    "files_limit": _mean("gunicorn_open_files_limit", how="max"),
    "part": _rate("flask_http_request_part_seconds_total", "job, part"),
    "outgoing": _rate("flask_http_outgoing_seconds_total", "job, host"),
    "pool_limit": _pool("limit"),
    "pool_in_use": _pool("in_use"),
    "pool_waiting": _pool("waiting"),
    "pool_hold": _rate("flask_db_pool_hold_seconds_sum"),
    "pool_holds": _rate("flask_db_pool_hold_seconds_count"),
    "pool_wait": _rate("flask_db_pool_wait_seconds_sum", "job, pool"),
    "pool_waits": _rate("flask_db_pool_wait_seconds_count", "job, pool"),
}
GENERATOR = {
    "processes": _mean("locust_worker_cpu_ratio", how="count"),
    "generator_cpu": _mean("locust_worker_cpu_ratio"),
    "generator_run_delay": _mean("locust_worker_run_delay_ratio"),
    "generator_lag": _mean("locust_event_loop_lag_seconds", how="max"),
}
RUNNING_GENERATORS = (  # theirs are the metrics of our exporter only, whatever their job is called
    "max by (job, instance) (max_over_time(locust_users[${span}s])) > 0 and on (job, instance)"
    " group by (job, instance) (last_over_time(locust_worker_cpu_ratio[${span}s]))"
)


@dataclass(frozen=True)
class Asked:
    """Questions to *prometheus* about the moments of *axis*; values are means over *window_s*."""

    prometheus: Prometheus
    axis: Axis
    window_s: int

    def over_time(self, texts: Mapping[str, str], who: str) -> Found:
        """Return each quantity of those whom *who*, label matchers, chooses."""
        text = _together([_named(name, text) for name, text in texts.items()])
        query = Template(text).substitute(who=who, window=self.window_s)
        found = Found(self.axis.points, self.window_s)
        for line in self.prometheus.over(self.axis, query, self.window_s / 2):
            label = line.metric.get
            detail = next((value for name in DETAILS if (value := label(name))), "")
            key = label("quantity", ""), label("job", ""), detail
            found.points[key] = self.axis.values(line)
        return found


@dataclass(frozen=True)
class Found:
    """What Prometheus knows, by quantity, job and detail, at *length* moments."""

    length: int
    window_s: int
    points: dict[tuple[str, str, str], Points] = field(default_factory=dict)

    def of(self, quantity: str, job: str, detail: str = "") -> Points:
        """Return a quantity's points, None where it is unknown."""
        return self.points.get((quantity, job, detail)) or [None] * self.length

    def details(self, quantity: str, job: str) -> list[str]:
        """Return the details that a quantity of *job* has."""
        return sorted(detail for name, of, detail in self.points if (name, of) == (quantity, job))

    @property
    def jobs(self) -> list[str]:
        """The jobs that anything is known of."""
        return sorted({job for _, job, _ in self.points})


def _named(name: str, text: str) -> str:
    return f'label_replace({text}, "quantity", "{name}", "", "")'


def _together(texts: Sequence[str]) -> str:
    """Return the union of *texts*: a balanced tree, since each `or` copies what is on its left."""
    if len(texts) == 1:
        return texts[0]
    half = len(texts) // 2
    return f"({_together(texts[:half])} or {_together(texts[half:])})"
