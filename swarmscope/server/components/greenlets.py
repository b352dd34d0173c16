"""CPU time of a request that shares its thread with others: counted whenever greenlets switch.

A trace function that raises would raise in the app and end all tracing, so this one never does. It
calls the one that was there before it, and takes its place again if something replaced it. It is
in use only while requests are measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

from swarmscope.server.components.breakdown import Breakdown
from swarmscope.server.components.libraries import Hooks

Trace = Callable[[str, Any], object]

WATCHED: dict[object, Breakdown] = {}  # by greenlet, of those that share a thread with others


def hook_greenlet(hooks: Hooks, module: Any) -> None:
    """Tell requests apart by the running greenlet; a thread that has no other one has its own."""
    hooks.set(Breakdown, "identify", staticmethod(module.getcurrent))


def watch(breakdown: Breakdown) -> None:
    """Count the CPU time of the greenlet of *breakdown*, the running one, until its end."""
    greenlet = sys.modules["greenlet"]
    traced = greenlet.gettrace()
    if traced is None:
        greenlet.settrace(_switched)
    elif traced is not _switched and not hasattr(traced, "swarmscope"):
        greenlet.settrace(_switched_and(traced))
    WATCHED[breakdown.owner] = breakdown
    breakdown.when_ended = _unwatch


def _unwatch(breakdown: Breakdown) -> None:
    WATCHED.pop(breakdown.owner, None)
    if not WATCHED:
        greenlet = sys.modules["greenlet"]
        traced = greenlet.gettrace()
        if traced is _switched:
            greenlet.settrace(None)
        elif hasattr(traced, "swarmscope"):  # else something has replaced it
            greenlet.settrace(traced.swarmscope)


def _switched(event: str, greenlets: Any, watched: Any = WATCHED.get) -> None:
    """Note which requests have left their thread and got it back; twice changes nothing."""
    try:
        left, entered = watched(greenlets[0]), watched(greenlets[1])
        if left is not None or entered is not None:
            now = thread_time()
            if left is not None:
                left.left(now)
            if entered is not None:
                entered.resumed(now)
    except Exception:  # an event of another kind, or whatever
        pass


def _switched_and(before: Trace) -> Trace:
    """Return a trace function that calls *before*, too."""

    def switched(event: str, arguments: Any) -> None:
        _switched(event, arguments)
        before(event, arguments)

    switched.swarmscope = before  # type: ignore[attr-defined]
    return switched
