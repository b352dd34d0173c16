"""A resource: places that requests hold, those in use, and what waits for one.

Beside the usage of resources, a capture's series, by (job, name), hold what explains it; a mean
per request unless it says otherwise:

    part_cpu_ms, part_db_ms, part_pool_ms, part_http_ms, part_cache_ms, part_other_ms
                            the components of the service time
    run_delay_ms            workers were ready to run and did not
    accept_queue_ms         in the accept queue, by Little's law
    worker_queue_ms         in the worker's own queue, by Little's law
    loop_lag_ms             mean wait of an event for the gevent loop
    wake_delay_ms           how late a probe thread woke: the wait for the GIL
    cpu_others_cores        cores that processes other than the service's used
    cpu_throttled_ratio     share of time in which the quota stopped the service
    cpu_steal_cores         cores that the hypervisor gave to others
"""

from __future__ import annotations

from dataclasses import dataclass

Points = list[float | None]  # on a capture's axis; None where unknown

QUOTA = "quota"  # detail of `cpu` and `generator_cpu` where a quota is the lowest limit

KINDS = {  # in words, in the plural where there are many places
    "workers": "workers",
    "python": "Python in the workers",
    "cpu": "CPU of the machine",
    "memory": "memory",
    "pool": "connections of the pool {detail}",
    "database": "CPU of the database",
    "database_lock": "row locks in the database",
    "database_connections": "connections that the database accepts",
    "service": "the service {detail}",
    "lock": "a lock in Python",
    "backlog": "accept queue",
    "files": "open files",
    "ports": "local ports",
    "generator": "Python of the load generator",
    "generator_cpu": "CPU of the load generator's machine",
    "setting": "{detail}",
}


@dataclass(frozen=True, order=True)
class ResourceKey:
    """Which resource.

    *job* is a service, or "" for the run's own: generator, database, settings. *kind* is one of
    `KINDS`. *detail* is the pool's name, the other service's host, the database's name, the name
    in settings, `QUOTA`, else "".
    """

    job: str
    kind: str
    detail: str = ""

    @property
    def words(self) -> str:
        """The resource in words, without its service."""
        if self.kind in ("cpu", "generator_cpu") and self.detail == QUOTA:
            return "CPU quota" if self.kind == "cpu" else "CPU quota of the load generator"
        return KINDS[self.kind].format(detail=self.detail)


@dataclass(frozen=True)
class Usage:
    """One value per point of a capture's axis; None where unknown, never 0.

    *used* is exact where counters exist. Of `cpu` it is what everybody used, others included;
    of `python` the CPU of the workers. *waiting* are requests, threads or processes: of `cpu` and
    `python` the mean number of workers that were ready to run and did not.
    """

    places: Points  # how many there are
    used: Points  # mean number in use
    waiting: Points  # mean number that wait for one


@dataclass(frozen=True)
class RouteDemand:
    """How long requests of *route* held places of a resource: in the run (*level* 0) or a level."""

    level: int
    job: str
    kind: str
    detail: str
    route: str
    held_s: float
    requests: int
