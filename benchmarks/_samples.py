"""CPU time of one sample, of each kind of profile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator

from flask import Flask

from swarmscope.sampling.signal_sampler import SignalSampler
from swarmscope.server import instrument
from swarmscope.server.profiles.stacks import RequestStacks
from swarmscope.server.profiles.thread_sampler import ThreadSampler
from swarmscope.server.profiles.waiting_sampler import WaitingSampler

FRAMES = 40  # of the app's own, above which are some of Flask's
THREADS = 4
ROUNDS, SAMPLES = 50, 50


def deep(frames: int, innermost: Callable[[], None]) -> None:
    """Call *innermost* below that many frames."""
    deep(frames - 1, innermost) if frames else innermost()


def service(innermost: Callable[[], None]) -> Flask:
    """Return an instrumented app, whose only view calls *innermost*."""
    app = Flask("sampled")

    @app.get("/")
    def index() -> str:
        deep(FRAMES, innermost)
        return ""

    instrument(app)
    return app


def least_us(sample: Callable[[], None]) -> float:
    """Return the least CPU time of a call, in µs: a busy machine only ever adds to it."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(SAMPLES):
            sample()
        rounds.append((time.thread_time() - began) / SAMPLES)
    return 1e6 * min(rounds)


def measure() -> Iterator[tuple[str, float]]:
    """Yield what is measured, and µs."""
    found: list[float] = []
    by_signal = SignalSampler(100, RequestStacks())
    request = service(lambda: found.append(least_us(lambda: by_signal.sample(sys._getframe()))))
    request.test_client().get("/")
    yield f"by signal, {FRAMES} frames of the app", found[0]

    end = threading.Event()

    def wait() -> None:
        end.wait()

    waiting = service(wait)
    threads = [
        threading.Thread(target=lambda: waiting.test_client().get("/")) for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)  # until all of them wait
    by_thread, of_waiting = ThreadSampler(100), WaitingSampler(100)
    by_thread.start()
    of_waiting.start()
    yield f"of {THREADS} threads, none of which runs", least_us(by_thread.tick)
    yield f"of {THREADS} requests that wait", least_us(of_waiting.tick)
    by_thread.stop()
    end.set()
