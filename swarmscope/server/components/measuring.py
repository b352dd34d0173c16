"""Measures the components of an app's service time, request by request."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

from swarmscope.server.components.breakdown import (
    CACHE,
    COMPONENTS,
    CURRENT,
    DB,
    HTTP,
    POOL,
    Breakdown,
    current,
)
from swarmscope.server.components.component_metrics import ComponentMetrics
from swarmscope.server.components.engines import hook_dialects, hook_pools
from swarmscope.server.components.greenlets import hook_greenlet, watch
from swarmscope.server.components.http_clients import hook_httpx, hook_requests, hook_urllib3
from swarmscope.server.components.key_value import hook_redis
from swarmscope.server.components.libraries import Hooks
from swarmscope.server.components.outgoing import OutgoingSettings
from swarmscope.server.components.psycopg_pools import hook_psycopg_pools

COMPONENTS_VARIABLE = "SWARMSCOPE_COMPONENTS"  # names, separated by commas
PROPAGATE_VARIABLE = "SWARMSCOPE_PROPAGATE"  # patterns of host names, separated by commas
NONE = "none"  # of either
OWN = ("cpu", "other")  # of a request outside of calls
CALLED = ((DB, "db"), (POOL, "pool"), (HTTP, "http"), (CACHE, "cache"))

HOOKS = Hooks(
    {
        "greenlet": hook_greenlet,
        "httpx": hook_httpx,
        "psycopg_pool": hook_psycopg_pools,
        "redis.client": hook_redis,
        "requests.sessions": hook_requests,
        "sqlalchemy.engine.default": hook_dialects,
        "sqlalchemy.pool": hook_pools,
        "urllib3.connectionpool": hook_urllib3,
    }
)


def names_from(variable: str, otherwise: Collection[str]) -> tuple[str, ...]:
    """Return the names in *variable*, or, if it is not set, *otherwise*; ``none`` is no name."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return tuple(otherwise)
    names = (name.strip() for name in text.split(","))
    return () if text == NONE else tuple(name for name in names if name)


def checked(components: Collection[str]) -> frozenset[str]:
    """Return the names of *components*; raises ValueError for one that there is not."""
    if unknown := [name for name in components if name not in COMPONENTS]:
        raise ValueError(f"{unknown[0]!r} is not a component; there are {', '.join(COMPONENTS)}")
    return frozenset(components)


class Components:
    """What is measured of the requests of one app, and where it is counted."""

    def __init__(
        self,
        names: frozenset[str],
        propagate: Collection[str],
        metrics: ComponentMetrics | None,
    ) -> None:
        """*names* are those of the components, *propagate* patterns of hosts that get headers."""
        self._wanted = ("db" in names, "pool" in names, "http" in names, "cache" in names)
        self._cpu = "cpu" in names
        self._own = " ".join(name for name in OWN if name in names)
        self._metrics = metrics
        observe = metrics.observe_outgoing if metrics is not None and "http" in names else None
        self._outgoing = OutgoingSettings(propagate, observe) if propagate or observe else None
        HOOKS.look()

    def begin(self, environ: Mapping[str, Any], now: float) -> Breakdown | None:
        """Begin a request at *now* (``perf_counter``); None if it is part of another one."""
        if len(sys.modules) != HOOKS.modules:
            HOOKS.look()
        outer = current()
        if outer is not None and not outer.ended:
            return None
        breakdown = Breakdown(now, self._wanted, self._cpu)
        breakdown.metrics = self._metrics
        if self._cpu and getattr(breakdown.owner, "parent", None) is not None:
            watch(breakdown)
        breakdown.outgoing, breakdown.environ = self._outgoing, environ
        CURRENT.set(breakdown)
        return breakdown

    def timing(self, breakdown: Breakdown) -> str:
        """Return what follows queue and app in ``Server-Timing``: parts that are not zero."""
        text = ", cpu;dur=%.3f" % (breakdown.cpu_s * 1e3) if self._cpu else ""
        if not breakdown.any_call:
            return text
        for where, name in CALLED:
            if seconds := breakdown.seconds[where]:
                text += f", {name};dur={seconds * 1e3:.3f}"
                if calls := breakdown.calls[where]:
                    text += f';desc="{calls}"'
        return text

    def count(self, group: str, breakdown: Breakdown, service_s: float, method: str) -> None:
        """Add a request of *group* to the metrics."""
        metrics = self._metrics
        if metrics is None:
            return
        rest = service_s - breakdown.cpu_s
        if breakdown.any_call:
            add_seconds = metrics.add_seconds
            for held_s in breakdown.holds or ():
                metrics.pools.observe_hold[(group,)](held_s)
            for where, name in CALLED:
                if seconds := breakdown.seconds[where]:
                    add_seconds[group, name](seconds)
                    rest -= seconds
                if calls := breakdown.calls[where]:
                    metrics.add_calls[group, name](calls)
            if breakdown.statements and metrics.statements is not None:
                metrics.statements.add((method, group), breakdown.statements)
        if self._own:
            metrics.add_own[group, self._own](breakdown.cpu_s, rest)
