"""The cases: twelve services that are short of one thing, eight that are short of none, or of two.

Each is drawn from a seed, so that no rule can be fitted to its figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from benchmarks.starved.service import Step

HELD = 0.45  # of the capacity, at the level that holds
BROKEN = 1.7  # the same, at the one that breaks
Kind = Literal["one", "none", "two"]


@dataclass(frozen=True)
class Service:
    """A service: what its routes do, gunicorn's options, and what it gets.

    *quota* is a limit of its CPU in cores. Without *measured* it is a server of which swarmscope
    knows nothing.
    """

    routes: Mapping[str, tuple[Step, ...]]
    options: tuple[str, ...]
    pool: int = 1
    quota: float | None = None
    measured: bool = True


@dataclass(frozen=True)
class Raised:
    """The same service with more of what it was short of, and what it is short of next."""

    service: Service
    second: tuple[str, str]  # its service, and its kind
    users: int


@dataclass(frozen=True)
class Case:
    """A service, its load, and what it is short of: *truth*, kinds of `resources.model.KINDS`.

    *users* are those of the level that holds and of the one that breaks; the paths that they
    request are those of the service, or *later* at the second level; each user keeps to one. *also*
    are other right names of the truth. As many users as a path has request *beside*, a service
    that nothing is known of, and then the generator computes on its responses only. *law*: the
    ceiling of the truth follows from its places and the time that they are held.
    """

    name: str
    truth: frozenset[str]
    service: Service
    users: tuple[int, int]
    also: frozenset[str] = frozenset()
    word: str = ""  # that the sentence has to contain
    downstream: Service | None = None
    law: bool = False
    raised: Raised | None = None
    later: tuple[str, ...] = ()
    neighbours: int = 0  # busy processes beside it, at the second level
    burn_ms: float = 0.0  # CPU of the generator for each response
    beside: Service | None = None
    slo_p95_ms: int = 450

    @property
    def kind(self) -> Kind:
        """How many things it is short of."""
        kinds: tuple[Kind, Kind, Kind] = ("none", "one", "two")
        return kinds[len(self.truth)]


def sync(workers: int) -> tuple[str, ...]:
    """Return gunicorn's options of so many sync workers."""
    return ("-k", "sync", "-w", str(workers), "--backlog", "2048")


def threads(number: int, workers: int = 1) -> tuple[str, ...]:
    """Return gunicorn's options of threaded workers."""
    return ("-k", "gthread", "-w", str(workers), "--threads", str(number), "--backlog", "2048")


def load(capacity: float) -> tuple[int, int]:
    """Return the users of both levels; each sends one request per second."""
    return max(round(capacity * HELD), 1), max(round(capacity * BROKEN), 2)


def one(*steps: Step) -> dict[str, tuple[Step, ...]]:
    """Return the routes of a service that has one."""
    return {"/orders": steps}


def slots(dice: Random) -> Case:
    """Sync workers that sleep; the next limit is the only worker of another service."""
    workers, hold_ms, call_ms = dice.randint(2, 4), dice.uniform(50, 80), dice.uniform(8, 10)
    service = Service(one(("sleep", hold_ms), ("call", 0)), sync(workers))
    other = Service(one(("sleep", call_ms)), sync(1))
    second = 1000 / (call_ms + 1)
    more = Raised(replace(service, options=threads(32)), ("downstream", "workers"), load(second)[1])
    capacity = workers * 1000 / (hold_ms + call_ms + 5)
    return Case(
        "slots",
        frozenset({"workers"}),
        service,
        load(capacity),
        downstream=other,
        law=True,
        raised=more,
    )


def cpu(dice: Random) -> Case:
    """More workers than cores, each of which computes."""
    burn_ms = dice.uniform(20, 30)
    service = Service(one(("burn", burn_ms)), sync(6))
    return Case("cpu", frozenset({"cpu"}), service, load(1.8 * 1000 / burn_ms), law=True)


def gil(dice: Random) -> Case:
    """One worker whose threads compute."""
    burn_ms = dice.uniform(12, 20)
    service = Service(one(("burn", burn_ms), ("sleep", 10)), threads(dice.randint(12, 24)))
    return Case("gil", frozenset({"python"}), service, load(900 / burn_ms), law=True)


def pool(dice: Random) -> Case:
    """Two connections; the next limit is the number of threads."""
    held_ms, rest_ms, number = dice.uniform(30, 50), dice.uniform(30, 60), dice.randint(8, 10)
    routes = one(("hold_connection", held_ms), ("sleep", rest_ms))
    service = Service(routes, threads(number), pool=2)
    second = number * 1000 / (held_ms + rest_ms + 3)
    more = Raised(replace(service, pool=number), ("shop", "workers"), load(second)[1])
    capacity = load(2 * 1000 / (held_ms + 2))
    return Case("pool", frozenset({"pool"}), service, capacity, law=True, raised=more)


def row_lock(dice: Random) -> Case:
    """A row that every request locks; the next limit is the number of threads."""
    held_ms, rest_ms = dice.uniform(14, 20), dice.uniform(20, 30)
    service = Service(one(("lock_row", held_ms), ("sleep", rest_ms)), threads(3, 2), pool=3)
    without = replace(service, routes=one(("hold_connection", held_ms), ("sleep", rest_ms)))
    second = 6 * 1000 / (held_ms + rest_ms + 3)
    return Case(
        "row_lock",
        frozenset({"database_lock"}),
        service,
        load(1000 / (held_ms + 3)),
        law=True,
        raised=Raised(without, ("shop", "workers"), load(second)[1]),
    )


def missing_index(dice: Random) -> Case:
    """A statement that reads a whole table: CPU of the database."""
    service = Service(one(("find", dice.randint(1, 1000))), threads(24), pool=24)
    return Case("missing_index", frozenset({"database"}), service, (15, 160))


def slow_downstream(dice: Random) -> Case:
    """Another service, measured, whose two workers are slow."""
    hold_ms = dice.uniform(50, 90)
    service = Service(one(("sleep", 5), ("call", 0)), threads(48))
    other = Service(one(("sleep", hold_ms)), sync(2))
    capacity = load(2 * 1000 / (hold_ms + 1))
    truth = frozenset({"service"})
    return Case(
        "slow_downstream",
        truth,
        service,
        capacity,
        also=frozenset({"workers"}),  # of that service
        word="downstream",
        downstream=other,
    )


def degrading_downstream(dice: Random) -> Case:
    """Another service, not measured, which slows down as more requests are in progress."""
    hold_ms = dice.uniform(15, 25)
    service = Service(one(("sleep", 5), ("call", 0)), threads(64))
    other = Service(one(("slow_down", hold_ms)), threads(64), measured=False)
    users = load(1000 / hold_ms)
    return Case("degrading_downstream", frozenset({"service"}), service, users, downstream=other)


def python_lock(dice: Random) -> Case:
    """A lock in the only process; the next limit is the number of its threads."""
    held_ms, rest_ms, number = dice.uniform(14, 20), dice.uniform(40, 60), dice.randint(8, 10)
    service = Service(one(("hold_lock", held_ms), ("sleep", rest_ms)), threads(number))
    without = replace(service, routes=one(("sleep", held_ms), ("sleep", rest_ms)))
    second = number * 1000 / (held_ms + rest_ms + 1)
    return Case(
        "python_lock",
        frozenset({"lock"}),
        service,
        load(1000 / (held_ms + 0.5)),
        law=True,
        raised=Raised(without, ("shop", "workers"), load(second)[1]),
    )


def quota(dice: Random) -> Case:
    """A cgroup that allows less than one core; the next limit is Python in the only worker."""
    cores, burn_ms = dice.uniform(0.3, 0.45), dice.uniform(10, 14)
    service = Service(one(("burn", burn_ms), ("sleep", 20)), threads(24), quota=cores)
    users = load(1000 * cores / (burn_ms + 1.5))
    more = Raised(replace(service, quota=None), ("shop", "python"), load(900 / burn_ms)[1])
    return Case("quota", frozenset({"cpu"}), service, users, word="quota", law=True, raised=more)


def neighbour(dice: Random) -> Case:
    """Busy processes beside it, which come when the load rises."""
    burn_ms = dice.uniform(14, 20)
    service = Service(one(("burn", burn_ms)), sync(3))
    before, _ = load(1000 / burn_ms)
    several = dice.randint(8, 12)
    truth = frozenset({"cpu"})
    return Case("neighbour", truth, service, (before, 2 * before), word="other", neighbours=several)


def generator(dice: Random) -> Case:
    """Users that compute for longer than the service: the load generator is short."""
    burn_ms = dice.uniform(14, 20)
    service = Service(one(("sleep", 15)), threads(32))
    truth = frozenset({"generator"})
    return Case("generator", truth, service, load(950 / burn_ms), burn_ms=burn_ms)


def calm_slots(dice: Random) -> Case:
    """Workers that sleep, and are rarely all busy."""
    service = Service(one(("sleep", dice.uniform(15, 25))), sync(4))
    return Case("calm_slots", frozenset(), service, (20, 40))


def calm_pool(dice: Random) -> Case:
    """A pool that is large enough."""
    steps: tuple[Step, ...] = (("hold_connection", dice.uniform(15, 25)), ("burn", 2))
    return Case("calm_pool", frozenset(), Service(one(*steps), threads(16), pool=8), (25, 60))


def slow_code(dice: Random) -> Case:
    """A handler that waits for longer than the objective allows, whatever the load."""
    service = Service(one(("sleep", dice.uniform(550, 750))), threads(64))
    return Case("slow_code", frozenset(), service, (8, 16))


def heavier_mix(dice: Random) -> Case:
    """Users who turn to a route that waits for longer than the objective allows."""
    routes: dict[str, tuple[Step, ...]] = {
        "/orders": (("sleep", 20),),
        "/report": (("sleep", dice.uniform(600, 800)),),
    }
    service = Service(routes, threads(64))
    return Case("heavier_mix", frozenset(), service, (15, 20), later=("/report",))


# Of two things that each request needs, one after the other, the scarcer one keeps requests from
# the other. So here each has users of its own, and is full whatever the other does.


def pool_and_downstream(dice: Random) -> Case:
    """Two routes: one needs a connection of the pool, the other a slow service."""
    held_ms = dice.uniform(50, 70)
    routes: dict[str, tuple[Step, ...]] = {
        "/orders": (("hold_connection", held_ms),),
        "/prices": (("call", 0),),
    }
    service = Service(routes, threads(160), pool=2)
    other = Service(one(("slow_down", held_ms / 2)), threads(160), measured=False)
    truth = frozenset({"pool", "service"})
    users = load(2 * 2 * 1000 / held_ms)
    return Case("pool_and_downstream", truth, service, users, downstream=other)


def lock_and_pool(dice: Random) -> Case:
    """Two routes: one needs the only lock, the other a connection of the pool."""
    held_ms = dice.uniform(20, 30)
    routes: dict[str, tuple[Step, ...]] = {
        "/orders": (("hold_connection", 2 * held_ms),),
        "/prices": (("hold_lock", held_ms),),
    }
    service = Service(routes, threads(200), pool=2)
    truth = frozenset({"pool", "lock"})
    return Case("lock_and_pool", truth, service, load(2 * 1000 / held_ms))


def quota_and_row_lock(dice: Random) -> Case:
    """Two routes: one computes within a quota, the other locks a row."""
    cores, burn_ms = dice.uniform(0.35, 0.45), dice.uniform(10, 13)
    capacity = 1000 * cores / (burn_ms + 6)  # of each route
    routes: dict[str, tuple[Step, ...]] = {
        "/orders": (("burn", burn_ms),),
        "/prices": (("lock_row", 1000 / capacity - 3),),
    }
    service = Service(routes, threads(120), pool=60, quota=cores)
    truth = frozenset({"cpu", "database_lock"})
    return Case("quota_and_row_lock", truth, service, load(2 * capacity))


def generator_and_slots(dice: Random) -> Case:
    """Users of two services: one has two threads, on the other's responses the generator computes.

    It has hardly more to compute than it can: while it does, it sends no request to the threads,
    whose users are so many that the queue there is longer than the generator is late.
    """
    capacity = dice.uniform(22, 28)
    each = round(0.65 * capacity), round(3.2 * capacity)
    service = Service(one(("sleep", 2000 / capacity - 2)), threads(2))
    beside = Service(one(("sleep", 2)), threads(64), measured=False)
    truth = frozenset({"generator", "workers"})
    users, burn_ms = (2 * each[0], 2 * each[1]), 1060 / each[1]
    return Case("generator_and_slots", truth, service, users, burn_ms=burn_ms, beside=beside)


CASES: Mapping[str, Callable[[Random], Case]] = {
    make.__name__: make
    for make in (
        *(slots, cpu, gil, pool, row_lock, missing_index),
        *(slow_downstream, degrading_downstream, python_lock, quota, neighbour, generator),
        *(calm_slots, calm_pool, slow_code, heavier_mix),
        *(pool_and_downstream, lock_and_pool, quota_and_row_lock, generator_and_slots),
    )
}


def drawn(name: str, seed: int, number: int) -> Case:
    """Return a case with the parameters of a seed and a round, the same whatever else is run."""
    return CASES[name](Random(f"{seed} {number} {name}"))
