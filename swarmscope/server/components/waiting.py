"""Waiting for a connection of a pool, and holding it, whatever library the pool is of."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from swarmscope.server.components.breakdown import POOL, Breakdown
from swarmscope.server.components.component_metrics import PoolMeter

TIMEOUTS = ("TimeoutError", "PoolTimeout")  # of SQLAlchemy and psycopg_pool, which may be absent


def wait_for(
    meter: PoolMeter, breakdown: Breakdown, take: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    """Return the connection that *take* returns, as a call of the component `pool`."""
    meter.add_waiting(1)
    before = breakdown.enter(POOL)
    began, waited = perf_counter(), breakdown.seconds[POOL]
    try:
        connection = take(*arguments, **named)
    except Exception as error:
        if type(error).__name__ in TIMEOUTS:
            meter.time_out()
        raise
    finally:
        breakdown.leave(before)
        meter.add_waiting(-1)
        own = type(before) is not tuple
        meter.observe_wait(breakdown.seconds[POOL] - waited if own else perf_counter() - began)
    meter.add_in_use(1)
    return connection


def give_back(taken_at: float, breakdown: Breakdown, meter: PoolMeter) -> None:
    """Note the end of holding a connection since *taken_at* (``perf_counter``)."""
    breakdown.hold(perf_counter() - taken_at)
    meter.add_in_use(-1)
