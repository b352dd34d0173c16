"""CPU time of a request that shares its thread with others: counted whenever greenlets switch.

A trace function that raises would raise in the app and end all tracing, so this one never does. It
calls the one that was there before it, and takes its place again if something replaced it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import thread_time
from typing import Any

from swarmscope.server.components.breakdown import WATCHED, Breakdown

Trace = Callable[[str, Any], object]

_installed: dict[int, dict[str, bool]] = {}  # by thread: whether its trace function is in use


def watch(breakdown: Breakdown) -> None:
    """Count the CPU time of the greenlet of *breakdown*, the running one, until its end."""
    greenlet = sys.modules["greenlet"]
    traced = greenlet.gettrace()
    if not hasattr(traced, "swarmscope"):
        thread = threading.get_native_id()
        if thread in _installed:  # replaced: what did so may still call it
            _installed[thread]["live"] = False
        state = _installed[thread] = {"live": True}
        greenlet.settrace(_trace(traced, state))
    WATCHED[breakdown.owner] = breakdown


def unwatch() -> None:
    """Remove the trace function of this thread, if nothing has replaced it."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is not None and (before := getattr(greenlet.gettrace(), "swarmscope", None)):
        greenlet.settrace(before[0])
        _installed.pop(threading.get_native_id(), None)


def _trace(before: Trace | None, state: dict[str, bool]) -> Trace:
    watched = WATCHED.get

    def switched(event: str, arguments: Any) -> None:
        try:
            if state["live"]:
                left, entered = watched(arguments[0]), watched(arguments[1])
                if left is not None or entered is not None:
                    now = thread_time()
                    if left is not None:
                        left.left_at_cpu_s = now
                    if entered is not None:
                        entered.resume(now)
        except Exception:  # an event of another kind, or whatever
            pass
        if before is not None:
            before(event, arguments)

    switched.swarmscope = (before,)  # type: ignore[attr-defined]
    return switched
