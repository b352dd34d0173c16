"""Hooks psycopg_pool: waiting for a connection, which is measured from then on.

A pool connects in threads of its own: to a request, connecting is waiting.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any

from swarmscope.server.components.breakdown import POOL, current
from swarmscope.server.components.databases import psycopg_connection
from swarmscope.server.components.libraries import Hooks
from swarmscope.server.components.waiting import give_back, wait_for

TAKEN = "swarmscope_taken"  # attribute of a connection


def hook_psycopg_pools(hooks: Hooks, module: Any) -> None:
    """Hook ``psycopg_pool``: `connection` calls these two methods."""
    hooks.wrap(module.ConnectionPool, "getconn", _get)
    hooks.wrap(module.ConnectionPool, "putconn", _put)


def _get(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    def getconn(pool: Any, *arguments: Any, **named: Any) -> Any:
        breakdown = current()
        if breakdown is None or not breakdown.wanted[POOL]:
            return stock(pool, *arguments, **named)
        meter = breakdown.metrics.pools.of(pool)
        connection = wait_for(meter, breakdown, stock, pool, *arguments, **named)
        if not hasattr(connection, "swarmscope"):
            kind: Any = type(connection)
            connection.__class__ = psycopg_connection(kind)
        setattr(connection, TAKEN, (perf_counter(), breakdown, meter))
        return connection

    return getconn


def _put(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    def putconn(pool: Any, connection: Any) -> None:
        taken = vars(connection).pop(TAKEN, None)
        if taken is not None:
            give_back(*taken)
        stock(pool, connection)

    return putconn
