"""Threads of the system, their names and their sleep, also where gevent has put greenlets there."""

from __future__ import annotations

import _thread
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any


def start(function: Callable[[], None]) -> None:
    """Run *function* in a thread of the system, which never keeps the process alive."""
    _original(_thread, "start_new_thread")(function, ())


def sleeper() -> Callable[[float], None]:
    """Return the function that puts a thread of the system to sleep, in seconds."""
    function: Callable[[float], None] = _original(time, "sleep")
    return function


def ident() -> int:
    """Return the running thread's key in ``sys._current_frames()``."""
    number: int = _original(_thread, "get_ident")()
    return number


def _original(module: ModuleType, name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return getattr(module, name) if monkey is None else monkey.get_original(module.__name__, name)
