"""Hooks SQLAlchemy, 1.4 and 2: its connections are measured, and waiting for its pools.

`DefaultDialect.connect` is what makes a connection once all of the app's listeners to `do_connect`
have been called: a listener of ours that returned a connection would skip theirs. There is no event
for waiting (`checkout` comes after it), so `Pool.connect` is wrapped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter, time
from typing import Any

from swarmscope.server.components.breakdown import DB, POOL, current, timed
from swarmscope.server.components.databases import CONNECTS, is_replaceable, measured_connect
from swarmscope.server.components.libraries import Hooks
from swarmscope.server.components.waiting import give_back, wait_for

CHECKED_OUT = "swarmscope.checked_out"  # key in a pooled connection's `info`


def hook_dialects(hooks: Hooks, module: Any) -> None:
    """Hook ``sqlalchemy.engine.default``."""
    hooks.wrap(module.DefaultDialect, "connect", _connect)


def hook_pools(hooks: Hooks, module: Any) -> None:
    """Hook ``sqlalchemy.pool``: waiting, and how long a connection is held."""
    from sqlalchemy import event

    hooks.wrap(module.Pool, "connect", functools.partial(_wait, hooked_at=time()))
    event.listen(module.Pool, "checkin", _checked_in)
    hooks.on_undo(functools.partial(event.remove, module.Pool, "checkin", _checked_in))


def _connect(stock: Callable[..., Any]) -> Callable[..., Any]:
    stock = timed(DB, stock)

    @functools.wraps(stock)
    def connect(dialect: Any, *arguments: Any, **named: Any) -> Any:
        driver = None if getattr(dialect, "is_async", False) else dialect.dbapi
        if getattr(driver, "__name__", None) not in CONNECTS:
            return stock(dialect, *arguments, **named)
        return _connect_of(driver)(*arguments, **named)

    return connect


@functools.cache
def _connect_of(driver: Any) -> Callable[..., Any]:
    return measured_connect(driver)


def _wait(stock: Callable[..., Any], hooked_at: float) -> Callable[..., Any]:
    @functools.wraps(stock)
    def connect(pool: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[POOL]:
            return stock(pool)
        meter = breakdown.metrics.pools.of(pool)
        connection = wait_for(meter, breakdown, stock, pool)
        record = connection._connection_record
        record.info[CHECKED_OUT] = perf_counter(), breakdown, meter
        if record.starttime < hooked_at:
            _replace(pool, record)
        return connection

    return connect


def _replace(pool: Any, record: Any) -> None:
    """Have a connection replaced once it is free, if it could have been measured and is not.

    It was opened before the app was instrumented. Only a QueuePool reconnects safely: the database
    of others may be the connection's own memory.
    """
    if type(pool).__name__ == "QueuePool" and is_replaceable(record.dbapi_connection):
        record.invalidate(soft=True)


def _checked_in(connection: Any, record: Any) -> None:
    taken = record.info.pop(CHECKED_OUT, None)
    if taken is not None:
        give_back(*taken)
