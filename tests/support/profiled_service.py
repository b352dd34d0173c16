"""A service whose functions use known CPU time or wait for known reasons; responses say how much.

Each response has the CPU seconds of this thread by function, as a clock around each measured them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask

ROWS = [{"id": number, "name": f"item {number}", "price": number / 7} for number in range(1_500)]
lock = threading.Lock()


def hot(ms: float) -> None:
    burn(ms)


def warm(ms: float) -> None:
    burn(ms)


def burn(ms: float) -> None:
    """Use that much CPU time of this thread."""
    began = time.thread_time()
    while time.thread_time() - began < ms / 1000:
        sum(range(100))


def long_call(rows: int) -> None:
    """One call of C code, which no signal interrupts."""
    sorted(range(rows), key=(-rows).__add__)


def slow_expression(letters: int) -> None:
    re.match(r"(a+)+$", "a" * letters + "b")


def encode_json(times: int) -> None:
    for _ in range(times):
        json.dumps(ROWS)


def timed(*calls: tuple[Callable[[Any], None], Any]) -> dict[str, float]:
    used = {}
    for function, amount in calls:
        began = time.thread_time()
        function(amount)
        used[function.__name__] = time.thread_time() - began
    return used


def wait_asleep(ms: float) -> None:
    time.sleep(ms / 1000)


def wait_for_lock(ms: float) -> None:
    with lock:
        hold_lock(ms)


def hold_lock(ms: float) -> None:
    time.sleep(ms / 1000)


def create_app(handler: str = "") -> Flask:
    """Build it; *handler* is ``SIGPROF`` or ``ITIMER_PROF`` if the app uses that itself."""
    app = Flask(__name__)
    if handler:
        signal.signal(signal.SIGPROF, lambda *_: None)
    if handler == "ITIMER_PROF":
        signal.setitimer(signal.ITIMER_PROF, 1000)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)

    @app.get("/both")
    def both() -> dict[str, float]:
        return timed((hot, 18), (warm, 6))

    @app.get("/items/<int:number>")
    def item(number: int) -> dict[str, float]:
        return timed((hot, 8), (warm, 24))

    @app.get("/long")
    def long() -> dict[str, float]:
        return timed((burn, 25), (long_call, 120_000))

    @app.get("/named")
    def named() -> dict[str, float]:
        return timed((slow_expression, 17), (encode_json, 3))

    @app.get("/asleep")
    def asleep() -> dict[str, float]:
        return timed((burn, 2), (wait_asleep, 30))

    @app.get("/locked")
    def locked() -> dict[str, float]:
        return timed((wait_for_lock, 20))

    @app.get("/job")
    def job() -> dict[str, float]:
        """Fork a process that uses the CPU; fail if something ended it."""
        child = multiprocessing.get_context("fork").Process(target=burn, args=(20,))
        child.start()
        child.join()
        assert child.exitcode == 0, child.exitcode
        return {}

    @app.get("/stuck")
    def stuck() -> dict[str, float]:
        return timed((slow_expression, 26))

    @app.get("/pid")
    def pid() -> dict[str, int]:
        return {"pid": os.getpid()}

    return app
