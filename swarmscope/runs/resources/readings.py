"""The resources of a run, read from Prometheus: their places, those in use, and what waits.

They lie at the services (workers, CPU, pools, …) and at the load generator. A value is a mean over
a rate's window. What uses a place is counted where counters exist: the rate of the seconds for
which a place was held is the mean number in use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from math import ceil
from string import Template

from swarmscope.runs.prometheus import Axis, Prometheus
from swarmscope.runs.resources.model import QUOTA, Points, ResourceKey, Usage
from swarmscope.runs.resources.questions import (
    GENERATOR,
    MACHINE,
    RUNNING_GENERATORS,
    SERVICE,
    Asked,
    Found,
)

MAX_SHARE_OF_WINDOW = 0.25  # that one use takes; of longer ones a window has none, or too much
MAX_HOSTS = 20  # that a service calls, those that took the most time
MIN_SPAN_S = 10  # in which a generator was scraped
Series = dict[tuple[str, str], Points]  # by job and name


@dataclass(frozen=True)
class Readings:
    """What is known of the resources of some services and of a run's generator."""

    resources: dict[ResourceKey, Usage] = field(default_factory=dict)
    series: Series = field(default_factory=dict)  # see `resources.model`


def read(prometheus: Prometheus, axis: Axis, window_s: int, jobs: str = "") -> Readings:
    """Return the resources at the services *jobs* and at the generator, on *axis*.

    *jobs* is a regular expression in a PromQL string; empty: there are no services. *window_s* is
    the width of a rate. Raises `prometheus.Unavailable`.
    """
    asked, readings = Asked(prometheus, axis, window_s), Readings()
    if jobs:
        found = asked.over_time(SERVICE | MACHINE, f'job=~"{jobs}"')
        for job in found.jobs:
            _add(readings, _of_service(found, job))
            readings.series.update(_service_series(found, job) | _machine_series(found, job))
    if generator := _generator(prometheus, axis):
        found = _without_job(asked.over_time(GENERATOR | MACHINE, generator))
        _add(readings, _of_generator(found))
        readings.series.update(_machine_series(found, ""))
        readings.series.update(_known({("", "loop_lag_ms"): _ms(found.of("generator_lag", ""))}))
    return readings


def _generator(prometheus: Prometheus, axis: Axis) -> str:
    """Return label matchers of the one generator that ran; nothing if it is not known."""
    span_s = max((axis.points - 1) * axis.step_s, MIN_SPAN_S)
    query = Template(RUNNING_GENERATORS).substitute(span=ceil(span_s))
    found = prometheus.at(axis.since_s + span_s, query)
    if len(found) != 1:  # of several, nobody knows which one was the run's
        return ""
    labels = ((name, found[0].metric.get(name, "")) for name in ("job", "instance"))
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels)


def _without_job(found: Found) -> Found:
    points = {(name, "", detail): values for (name, _, detail), values in found.points.items()}
    return Found(found.length, found.window_s, points)


def _add(readings: Readings, found: Iterator[tuple[ResourceKey, Usage]]) -> None:
    readings.resources.update(
        (key, usage) for key, usage in found if any(value is not None for value in usage.used)
    )


def _of_service(found: Found, job: str) -> Iterator[tuple[ResourceKey, Usage]]:
    def of(quantity: str) -> Points:
        return found.of(quantity, job)

    run_delay, waiting = of("run_delay"), _sum(of("backlog"), of("queued"))
    yield ResourceKey(job, "workers"), Usage(of("concurrency"), of("held"), waiting)
    yield ResourceKey(job, "python"), Usage(of("workers"), of("worker_cpu"), run_delay)
    yield _cpu(found, job, "cpu"), Usage(of("cpus"), _cpu_used(found, job), run_delay)
    yield from _of_pools(found, job)
    yield from _of_calls(found, job)
    unknown: Points = [None] * found.length
    yield ResourceKey(job, "backlog"), Usage(of("backlog_limit"), of("backlog"), [*unknown])
    yield ResourceKey(job, "files"), Usage(of("files_limit"), of("files"), [*unknown])
    yield from _of_machine(found, job)


def _of_pools(found: Found, job: str) -> Iterator[tuple[ResourceKey, Usage]]:
    """Yield the pools of *job*; connections held are counted by route, so for all pools at once."""
    pools = found.details("pool_in_use", job)
    for pool in pools:
        used, waiting = (found.of(f"pool_{state}", job, pool) for state in ("in_use", "waiting"))
        if len(pools) == 1:
            used = _counted(found, used, found.of("pool_hold", job), found.of("pool_holds", job))
        waits = (found.of(name, job, pool) for name in ("pool_wait", "pool_waits"))
        waiting = _counted(found, waiting, *waits)
        yield (
            ResourceKey(job, "pool", pool),
            Usage(found.of("pool_limit", job, pool), used, waiting),
        )


def _of_calls(found: Found, job: str) -> Iterator[tuple[ResourceKey, Usage]]:
    """Yield the services that *job* called for longest: calls in progress, of an unknown number."""

    def seconds(host: str) -> float:
        return sum(filter(None, found.of("outgoing", job, host)))

    unknown: Points = [None] * found.length
    for host in nlargest(MAX_HOSTS, found.details("outgoing", job), seconds):
        calls = found.of("outgoing", job, host)
        yield ResourceKey(job, "service", host), Usage([*unknown], calls, [*unknown])


def _of_machine(found: Found, job: str) -> Iterator[tuple[ResourceKey, Usage]]:
    for kind, waiting in (("memory", found.of("memory_pressure", job)), ("ports", None)):
        places, used = (found.of(f"{kind}_{state}", job) for state in ("limit", "used"))
        yield ResourceKey(job, kind), Usage(places, used, waiting or [None] * found.length)


def _of_generator(found: Found) -> Iterator[tuple[ResourceKey, Usage]]:
    run_delay = found.of("generator_run_delay", "")
    processes, used = found.of("processes", ""), found.of("generator_cpu", "")
    yield ResourceKey("", "generator"), Usage(processes, used, run_delay)
    cpus, used = found.of("cpus", ""), _cpu_used(found, "")
    yield _cpu(found, "", "generator_cpu"), Usage(cpus, used, run_delay)
    yield from _of_machine(found, "")


def _cpu(found: Found, job: str, kind: str) -> ResourceKey:
    return ResourceKey(job, kind, QUOTA if found.details("quota", job) else "")


def _cpu_used(found: Found, job: str) -> Points:
    """Return the cores in use; what the hypervisor took is gone, but of no quota."""
    used = _each(lambda own, others: own + others, *_of(found, job, "cpu_own", "cpu_others"))
    return used if found.details("quota", job) else _plus(used, found.of("cpu_steal", job))


def _service_series(found: Found, job: str) -> Series:
    requests = found.of("requests", job)
    series = {
        (job, f"part_{part}_ms"): _ms(_ratio(found.of("part", job, part), requests))
        for part in found.details("part", job)
    }
    by_name = {"run_delay": "run_delay", "worker_queue": "queued", "accept_queue": "backlog"}
    for name, quantity in by_name.items():
        series[job, f"{name}_ms"] = _ms(_ratio(found.of(quantity, job), requests))
    series[job, "loop_lag_ms"] = _ms(found.of("loop_lag", job))
    series[job, "wake_delay_ms"] = _ms(_ratio(*_of(found, job, "wake_delay", "wakes")))
    series[job, "listen_overflows_per_s"] = found.of("listen_overflows", job)
    return _known(series)


def _machine_series(found: Found, job: str) -> Series:
    names = {
        "cpu_others_cores": "cpu_others",
        "cpu_steal_cores": "cpu_steal",
        "cpu_pressure_ratio": "cpu_pressure",
        "memory_pressure_ratio": "memory_pressure",
        "io_pressure_ratio": "io_pressure",
    }
    series = {(job, name): found.of(quantity, job) for name, quantity in names.items()}
    throttled = found.of("cpu_throttled", job)  # may be counted for each CPU
    series[job, "cpu_throttled_ratio"] = [v if v is None else min(1.0, v) for v in throttled]
    return _known(series)


def _of(found: Found, job: str, *quantities: str) -> Iterator[Points]:
    return (found.of(quantity, job) for quantity in quantities)


def _known(series: Mapping[tuple[str, str], Points]) -> Series:
    return {key: points for key, points in series.items() if any(v is not None for v in points)}


def _each(how: Callable[[float, float], float | None], one: Points, another: Points) -> Points:
    return [
        None if a is None or b is None else how(a, b) for a, b in zip(one, another, strict=True)
    ]


def _ratio(one: Points, another: Points) -> Points:
    return _each(lambda a, b: a / b if b else None, one, another)


def _ms(points: Points) -> Points:
    return [None if value is None else 1000 * value for value in points]


def _plus(points: Points, more: Points) -> Points:
    """Return the sum; what is not known of *more* is left out."""
    return [a if a is None else a + (b or 0.0) for a, b in zip(points, more, strict=True)]


def _sum(one: Points, another: Points) -> Points:
    """Return the sum of what is known."""
    pairs = zip(one, another, strict=True)
    return [b if a is None else a + (b or 0.0) for a, b in pairs]


def _counted(found: Found, seen: Points, seconds: Points, times: Points) -> Points:
    """Return the mean number in progress: the rate of *seconds*, which are counted at the end.

    What takes long compared with a window is as it was *seen* at each scrape.
    """
    longest_s = found.window_s * MAX_SHARE_OF_WINDOW
    return [
        s if s is not None and n and (s / n <= longest_s or at is None) else at
        for at, s, n in zip(seen, seconds, times, strict=True)
    ]
