"""The metrics of components and of outgoing calls, in one registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from swarmscope.server.components.statement_metrics import STATEMENT_FAMILIES, StatementMetrics
from swarmscope.server.labels import Labels, Observe, Observers
from swarmscope.server.slots import FILES, SlotValue, observer

PART_SECONDS = "flask_http_request_part_seconds"  # a counter's samples end in _total
PART_CALLS = "flask_http_request_calls"
OUTGOING_SECONDS = "flask_http_outgoing_seconds"
OUTGOING_CALLS = "flask_http_outgoing_calls"
POOL_CONNECTIONS = "flask_db_pool_connections"
POOL_WAIT = "flask_db_pool_wait_seconds"
POOL_HOLD = "flask_db_pool_hold_seconds"
POOL_TIMEOUTS = "flask_db_pool_timeouts"
FAMILIES = frozenset(
    (
        PART_SECONDS, PART_CALLS, OUTGOING_SECONDS, OUTGOING_CALLS,
        POOL_CONNECTIONS, POOL_WAIT, POOL_HOLD, POOL_TIMEOUTS, *STATEMENT_FAMILIES,
    )
)  # fmt: skip
AddOwn = Callable[[float, float], None]
MAX_POOLS = 10  # more are counted as one

logger = logging.getLogger(__name__)


class ComponentMetrics:
    """Counters of components by *group*, the label of a request's rule."""

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float], group: str) -> None:
        labels = (group, "part")
        text = "Service time by component, in seconds"
        self._seconds = Counter(PART_SECONDS, text, labels, registry=registry)
        text = "Database statements, outgoing HTTP calls and cache commands"
        self._calls = Counter(PART_CALLS, text, labels, registry=registry)
        text = "Seconds from sending an outgoing HTTP call to the headers of its response"
        target = ("host", "method")
        self._outgoing_seconds = Counter(OUTGOING_SECONDS, text, target, registry=registry)
        text = "Outgoing HTTP calls; an error is a 5xx or no response"
        self._outgoing = Counter(OUTGOING_CALLS, text, (*target, "outcome"), registry=registry)
        self.add_seconds = Observers(lambda labels: self._seconds.labels(*labels)._value.inc)
        self.add_own: dict[Labels, AddOwn] = Observers(self._own_adder)  # type: ignore[arg-type, assignment]
        self.add_calls = Observers(lambda labels: self._calls.labels(*labels)._value.inc)
        self.observe_outgoing = Observers(self._outgoing_observer)
        self.pools = PoolMetrics(registry, buckets, group)
        self.statements = _statements(registry, group)
        FILES.add_keeper(self)

    def forget_cells(self) -> None:
        """Drop all observers: their values have moved."""
        for observers in (self.add_seconds, self.add_calls, self.observe_outgoing):
            observers.clear()
        self.add_own.clear()

    def _own_adder(self, labels: Labels) -> AddOwn:
        """Return a function that adds a request's CPU time, and what no component explains.

        *labels* are the group, and which of both are measured.
        """
        group, names = labels
        values = {name: self._seconds.labels(group, name)._value for name in names.split()}
        cpu, other = values.get("cpu"), values.get("other")
        if not (isinstance(cpu, SlotValue) and isinstance(other, SlotValue)):
            return partial(_add_own, cpu and cpu.inc, other and other.inc)
        cpu_cells, cpu_index, cells, index = cpu.cells, cpu.index, other.cells, other.index

        def add(cpu_s: float, other_s: float) -> None:
            cpu_cells[cpu_index] += cpu_s
            if other_s > 0:  # two clocks may differ by a hair
                cells[index] += other_s

        return add

    def _outgoing_observer(self, labels: tuple[str, ...]) -> Observe:
        """Return a function that counts a call and adds its seconds."""
        host, method, _ = labels
        add = self._outgoing_seconds.labels(host, method).inc
        count = self._outgoing.labels(*labels).inc

        def observe(seconds: float) -> None:
            count()
            add(seconds)

        return observe


def _add_own(add_cpu: Observe | None, add_other: Observe | None, cpu: float, other: float) -> None:
    if add_cpu is not None:
        add_cpu(cpu)
    if add_other is not None and other > 0:
        add_other(other)


def _statements(registry: CollectorRegistry, group: str) -> StatementMetrics | None:
    """Return the metrics of statements; None, with a line in the log, without sqlparse."""
    try:
        return StatementMetrics(registry, group)
    except ImportError:
        logger.warning("sqlparse is not installed: database statements are not told apart")
        return None


class PoolMetrics:
    """Metrics of pools; the label *pool* is its name, or that of its dialect."""

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float], group: str) -> None:
        self._connections = Gauge(
            POOL_CONNECTIONS,
            "Pooled database connections: in_use by requests, requests waiting, and the limit",
            ("pool", "state"),
            multiprocess_mode="livesum",
            registry=registry,
        )
        text = "Database connections that were not free within the pool's timeout"
        self._timeouts = Counter(POOL_TIMEOUTS, text, ("pool",), registry=registry)
        text = "Seconds that a request waited for a connection of a pool"
        self._wait = Histogram(POOL_WAIT, text, ("pool",), buckets=buckets, registry=registry)
        text = "Seconds that a request held a connection of a pool"
        self._hold = Histogram(POOL_HOLD, text, (group,), buckets=buckets, registry=registry)
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._meters: WeakKeyDictionary[Any, PoolMeter] = WeakKeyDictionary()
        self.observe_hold = Observers(lambda labels: observer(self._hold.labels(*labels)))
        FILES.add_keeper(self)

    def forget_cells(self) -> None:
        """Drop all observers: their values have moved."""
        self._meters.clear()
        self.observe_hold.clear()

    def of(self, pool: Any) -> PoolMeter:
        """Return what counts the connections of *pool*."""
        meter = self._meters.get(pool)
        if meter is None:
            name = self._name(pool)
            states = (self._connections.labels(name, state) for state in ("waiting", "in_use"))
            add_waiting, add_in_use = (state._value.inc for state in states)
            wait, timeouts = observer(self._wait.labels(name)), self._timeouts.labels(name)
            meter = self._meters[pool] = PoolMeter(add_waiting, add_in_use, wait, timeouts.inc)
        return meter

    def _name(self, pool: Any) -> str:
        name = self._names.get(pool)
        if name is None:
            name = self._names[pool] = self._new_name(pool)
            if limit := _limit(pool):
                self._connections.labels(name, "limit").inc(limit)
        return name

    def _new_name(self, pool: Any) -> str:
        """Return a name that no other pool of this process has, "other" once there are many."""
        named = (getattr(pool, attribute, None) for attribute in ("logging_name", "name"))
        name = str(next(filter(None, named), None) or pool._dialect.name)
        taken = set(self._names.values())
        numbered = [name, *(f"{name}-{number}" for number in range(2, MAX_POOLS + 1))]
        return next((one for one in numbered if one not in taken), "other")


def _limit(pool: Any) -> int:
    """Return how many connections *pool* has at most, 0 if there is no limit."""
    if hasattr(pool, "max_size"):  # psycopg_pool
        return int(pool.max_size)
    overflow = getattr(pool, "_max_overflow", None)
    return 0 if overflow is None or overflow < 0 else int(pool.size() + overflow)


@dataclass(frozen=True, slots=True)
class PoolMeter:
    """What counts the connections of one pool."""

    add_waiting: Observe  # requests that wait for one, with or without success
    add_in_use: Observe
    observe_wait: Observe  # seconds
    time_out: Callable[[], None]
