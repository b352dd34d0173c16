"""What broke: the resource that was full, where its wait is what made requests slower.

Two sides are compared, the load that held and the one that broke. A resource is a candidate where
it was full; it is the cause where the parts of the response time in which requests wait for it
account for a good share of the growth. Places are nested: who waits for a connection holds a
worker. So a full resource whose holders mostly wait for another one is a symptom of that one.
Where nothing agrees, the cause is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from swarmscope.runs.causes.demands import Load, mean, targets, total
from swarmscope.runs.causes.ends import (
    FULL,
    GREW,
    MIN_MS,
    MIN_SHARE,
    NEARLY_FULL,
    OUTSIDE,
    Ends,
    Places,
    Side,
)
from swarmscope.runs.resources.model import QUOTA, ResourceKey
from swarmscope.runs.server_series import CallKey, Capture

THROTTLED = 0.1  # of the time
SOLE = 0.5  # of the holders of a place wait for something: that is why the place is full
PRESSURE = 0.2  # of the time in which something waited for the disk, or for memory
OWN_USE = 0.2  # of a core: a generator that uses less is short of a machine, not too small
ALWAYS_FULL = 0.95  # of what processes hold, and requests only need

AGREEING = {  # parts in which requests wait for a resource
    "workers": {"queue"},
    "python": {"queue", "other", "cpu", "service"},
    "cpu": {"queue", "other", "cpu", "service", "db", "http", "outside"},
    "pool": {"pool", "queue", "service"},
    "database": {"db", "pool", "queue", "service"},
    "database_lock": {"db", "pool", "queue", "service"},
    "database_connections": {"db", "pool", "queue", "service"},
    "service": {"http", "queue", "service"},
    "lock": {"other", "queue", "service"},
    "generator": {"outside", "queue", "start_delay", "receiving"},
    "generator_cpu": {"outside", "queue", "start_delay", "receiving"},
}
COMPONENTS = ("cpu", "db", "pool", "http", "cache", "other")


@dataclass(frozen=True)
class Finding:
    """A resource that was full, what requests waited for it, and its share of the growth."""

    key: ResourceKey
    wait_ms: float
    share: float


def findings(capture: Capture, held: Side | None, broke: Side) -> list[Finding]:
    """Return what broke, the largest share first; none where nothing explains it."""
    ends = [Ends(Load(capture), job, held, broke) for job in targets(capture)]
    of_client = Ends(Load(capture), "", held, broke)
    found = list(_of_generator(of_client))
    lag_ms = 2 * (of_client.series("loop_lag_ms") or 0.0) if found else 0.0
    for each in ends:
        if each.service_side >= MIN_SHARE * max(of_client.whole, each.service_side):
            found += _of_service(each, lag_ms, frozenset())
    if held is None:  # nothing to compare with: most of the time has to be that wait, or a queue
        least_ms = SOLE * (of_client.after("response") or 0.0) - of_client.queue_growth
        least_ms = max(least_ms, of_client.after("other") or 0.0)  # which may be another wait
        found = [one for one in found if one.wait_ms >= least_ms]
    found = found or [one for each in [*ends, of_client] for one in _of_processes(each)]
    return sorted(found, key=lambda finding: -finding.share)


def grown(capture: Capture, held: Side | None, broke: Side) -> str | None:
    """Return the part of the response time that grew most, or took most where nothing held."""
    jobs = targets(capture)
    ends = Ends(Load(capture), jobs[0] if len(jobs) == 1 else "", held, broke)
    components = [part for part in COMPONENTS if ends.after(part) is not None]
    parts = ("queue", *(components or ["service"]), *OUTSIDE)
    growth = {part: ends.growth(part) for part in parts if ends.after(part) is not None}
    part = max(growth, key=growth.__getitem__, default=None)
    return part if part and growth[part] >= MIN_MS else None


def agree(capture: Capture, found: Sequence[Finding], grew: str | None) -> bool:
    """Return whether requests wait for what was found in the part that *grew* most."""
    own = ("", *targets(capture))
    kinds = [one.key.kind if one.key.job in own else "service" for one in found]
    return bool(found) and (
        grew is None or any(grew in AGREEING.get(kind, {grew}) for kind in kinds)
    )


def _of_generator(ends: Ends) -> Iterator[Finding]:
    """Yield the load generator, where it was full and responses waited to be read."""
    for kind in ("generator", "generator_cpu"):
        for one in ends.run_of(kind):
            lag_ms = ends.series("loop_lag_ms") or 0.0
            late = sum(ends.growth(part) for part in OUTSIDE)
            late += min(ends.queue_growth, 2 * lag_ms)
            share = late / ends.whole if ends.whole else 0.0
            is_busy = one.used + one.waiting >= FULL * one.places  # it ran, or was not let run
            idle = kind == "generator" and one.used < OWN_USE * one.places
            if is_busy and not idle and share >= MIN_SHARE and late >= MIN_MS:
                if kind == "generator" or not (
                    _is_the_services(ends, one) or ends.was_as_full(one)
                ):
                    yield Finding(one.key, late, share)
                return


def _is_the_services(ends: Ends, one: Places) -> bool:
    """Return whether the generator's machine is also that of a service."""
    machines = (replace(ends, job=job).places("cpu") for job in targets(ends.capture))
    return any(
        other.places == one.places and abs(other.used - one.used) < 0.1 * one.places
        for found in machines
        for other in found
    )


def _of_service(ends: Ends, lag_ms: float, seen: frozenset[str]) -> list[Finding]:
    """Return what a service was short of; *lag_ms* of the queue are the load generator's."""
    computing = list(_of_computing(ends))
    found = computing[:]
    if ends.is_slower_inside:
        of_database = list(_of_database(ends))
        found += [*of_database, *_of_pools(ends, of_database)]
        found += _of_calls(ends, seen)
        found += [] if computing else _of_locks(ends)
        return found
    return found or list(_of_workers(ends, lag_ms))


def _of_workers(ends: Ends, lag_ms: float) -> Iterator[Finding]:
    """Yield workers that are full although requests need one for no longer than before.

    Where nothing held, nobody knows how long that is.
    """
    growth = ends.queue_growth - lag_ms
    if ends.held is None or growth < MIN_SHARE * max(ends.whole, MIN_MS):
        return
    if ends.after("run_delay") is None and any(one.is_full for one in ends.places("cpu")):
        return  # or they are full because they do not get the CPU
    for one in ends.places("workers"):
        if one.is_full_or_queued:
            yield Finding(one.key, growth, growth / ends.whole)


def _of_computing(ends: Ends) -> Iterator[Finding]:
    """Yield the CPU, or Python in the workers: whichever of them more workers would not help."""
    cpu = next(iter(_full_cpu(ends)), None)
    python = next((one for one in ends.places("python") if one.is_full_or_delayed), None)
    waits = ends.growth("other") + ends.growth("cpu") + ends.queue_growth
    waits = max(waits, ends.service_side if ends.after("other") is None else 0.0)
    share = waits / ends.service_side if ends.service_side else 0.0
    if share < MIN_SHARE:
        return
    full = next((one for one in ends.places("cpu") if one.is_full), None)
    if python and full and python.places >= FULL * full.places:
        cpu, python = full, None  # a worker for each core: more of them would not help
    if one := python or cpu:
        yield Finding(one.key, waits, share)


def _full_cpu(ends: Ends) -> Iterator[Places]:
    """Yield a CPU that is full while workers want it: they are throttled, or not let run."""
    throttled = (ends.series("cpu_throttled_ratio") or 0.0) >= THROTTLED
    for one in ends.places("cpu"):
        stopped = one.key.detail == QUOTA and throttled and one.utilisation >= NEARLY_FULL
        if stopped or (one.is_full and _is_delayed(ends)):
            yield one


def _is_delayed(ends: Ends) -> bool:
    """Return whether requests were slow because workers did not get the CPU.

    Workers that are full are so because of it where most of them run, or wait to.
    """
    delay = ends.growth("run_delay")
    if ends.after("run_delay") is None:  # not known here: is most of it the service's own?
        return (ends.after("cpu") or 0.0) >= SOLE * (ends.after("service") or 0.0) > 0
    if delay >= MIN_SHARE * max(ends.service_side, MIN_MS):
        return True
    for workers in ends.places("workers"):
        # who waits for a CPU between two requests holds no place
        if workers.is_full_or_queued or workers.waiting >= workers.places > 0:
            running = sum(one.used + one.waiting for one in ends.places("python"))
            waits = (ends.after("run_delay") or 0.0) >= MIN_SHARE * (ends.after("service") or 0.0)
            return waits and running >= SOLE * workers.used
    return False


def _of_pools(ends: Ends, of_database: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the pool that is full, unless its connections only wait in the database."""
    share = ends.growth("pool") / ends.service_growth if ends.service_growth else 0.0
    in_database = ends.number("db")
    for one in ends.places("pool"):
        is_inner = bool(of_database) or ends.grew("db")
        if is_inner and in_database >= SOLE * one.used:
            return  # it is held longer because the database is slower
        if one.is_full_or_queued and share >= MIN_SHARE:
            yield Finding(one.key, ends.growth("pool"), share)
            return


def _of_database(ends: Ends) -> Iterator[Finding]:
    """Yield what sessions in the database mostly do while requests wait for it."""
    growth = ends.growth("db")
    in_database = ends.number("db")
    locks, computing = (ends.run_of(kind) for kind in ("database_lock", "database"))
    if ends.held is None and any(one.waiting >= SOLE * in_database for one in locks):
        growth = ends.after("db") or 0.0
    share = growth / max(ends.service_growth, growth) if growth else 0.0
    if share < MIN_SHARE or in_database < 1:
        return
    for one in locks:
        if one.waiting >= SOLE * in_database:
            yield Finding(one.key, growth, share)
            return
    for one in computing:
        is_short = one.is_full_or_queued or not one.places
        if is_short and one.used + one.waiting >= SOLE * in_database:
            yield Finding(one.key, growth, share)
            return


def _of_calls(ends: Ends, seen: frozenset[str]) -> Iterator[Finding]:
    """Yield the other service whose answers took longer, or what that one was short of."""
    share = ends.growth("http") / ends.service_growth if ends.service_growth else 0.0
    slower = {host: ms for host in _hosts(ends) if (ms := _slower(ends, host))}
    if share < MIN_SHARE or not slower:
        return
    host = max(slower, key=slower.__getitem__)
    called = ends.capture.places.get(host)
    if called and called != ends.job and called not in seen:
        further = _of_service(replace(ends, job=called), 0.0, seen | {ends.job})
        if further:
            yield from (replace(one, share=one.share * share) for one in further)
            return
    yield Finding(ResourceKey(ends.job, "service", host), slower[host], share)


def _hosts(ends: Ends) -> set[str]:
    return {key.host for key in ends.capture.calls if key.job == ends.job}


def _slower(ends: Ends, host: str) -> float:
    """Return by how many ms a call to *host* took longer; 0 where it took about as long."""
    if ends.held is None:
        return 0.0
    name = CallKey(ends.job, host, "mean_ms")
    before, after = (
        mean(ends.capture.calls.get(name, []), side.points) for side in (ends.held, ends.broke)
    )
    if before is None or after is None or after < GREW * before:
        return 0.0
    return after - before


def _of_locks(ends: Ends) -> Iterator[Finding]:
    """Yield a lock in Python: threads wait in one process for what is none of the resources.

    A process has to have several threads, none of which can be short of Python or of the CPU, and
    the disk must be idle.
    """
    growth = ends.growth("other") - ends.growth("run_delay")
    share = growth / ends.service_growth if ends.service_growth else 0.0
    waiting = growth * ends.rate / 1000
    if share < MIN_SHARE or waiting < 1 or not ends.grew("other"):
        return
    python = ends.places("python")
    workers = ends.places("workers")
    if not python or not workers or workers[0].places <= python[0].places:
        return
    busy = python[0].used + python[0].waiting >= NEARLY_FULL * python[0].places
    starved = any(one.is_full for one in ends.places("cpu")) and ends.growth("run_delay") > growth
    disk = (ends.series("io_pressure_ratio") or 0.0) >= PRESSURE
    hold_ms = 1000 * python[0].places / ends.rate
    too_slow = hold_ms > GREW * (ends.before("other") or 0.0)  # one at a time would take longer
    if not (busy or starved or disk or too_slow):
        yield Finding(ResourceKey(ends.job, "lock"), growth, share)


def _of_processes(ends: Ends) -> Iterator[Finding]:
    """Yield what processes were out of, where nothing else explains the growth."""
    limits: dict[str, Callable[[Places], bool]] = {
        "setting": lambda one: one.is_full,
        "database_connections": lambda one: one.utilisation >= ALWAYS_FULL,
        "files": lambda one: one.utilisation >= ALWAYS_FULL,
        "ports": lambda one: one.utilisation >= ALWAYS_FULL,
        "memory": lambda one: one.is_full and one.waiting >= PRESSURE,
    }
    for kind, is_out in limits.items():
        for one in ends.places(kind):
            if is_out(one) and not _was_full(ends, one, is_out):
                yield Finding(one.key, total([ends.growth("response")]) or 0.0, 1.0)
                return


def _was_full(ends: Ends, one: Places, is_out: Callable[[Places], bool]) -> bool:
    """Return whether it was as full where the objective held, so that it broke nothing."""
    if ends.held is None:
        return False
    usage = ends.capture.resources[one.key]
    return is_out(Places.of(one.key, usage, ends.held.points))
