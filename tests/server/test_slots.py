"""Values in slots' files: exact under threads, and kept when their process ends."""

import subprocess
import sys
import threading

import pytest
from prometheus_client import Counter, Gauge, Histogram
from support.instrumented import exposed

from swarmscope.server.directory import forget_worker
from swarmscope.server.slots import FILES, observer


def test_threads_lose_nothing(directory, registry):
    """Additions in place are exact although nothing is locked: here threads switch all the time."""
    counter = Counter("c", "", registry=registry)
    observe = observer(Histogram("h", "", ["x"], registry=registry).labels("a"))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work():
        for _ in range(20_000):
            counter.inc()
            observe(0.1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)

    found = exposed(directory)
    assert found.value("c_total") == found.value("h_count", x="a") == 80_000
    assert found.value("h_sum", x="a") == pytest.approx(8_000)


def test_a_killed_process_loses_nothing(tmp_path):
    """What it had added is in the file; its successor goes on from there."""
    program = """
import os, signal, sys
from pathlib import Path
from swarmscope.server.slots import FILES, use_slots
use_slots()
FILES.attach(Path(sys.argv[1]), "0")
from prometheus_client import Counter
counter = Counter("c", "", registry=None)
for _ in range(1000):
    counter.inc()
os.kill(os.getpid(), signal.SIGKILL)
"""
    for expected in (1000, 2000):
        subprocess.run([sys.executable, "-c", program, tmp_path], check=False)

        assert exposed(tmp_path).value("c_total") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["counter_0.db"]


def test_values_move_with_their_process(directory, registry):
    """What was made before a fork counts in the new slot from then on, from what that had."""
    counter = Counter("c", "", ["x"], registry=registry).labels("a")
    counter.inc(2)

    FILES.attach(directory, "1")
    counter.inc(3)
    FILES.attach(directory, "0")
    counter.inc(4)

    assert counter._value.get() == 6
    assert exposed(directory).value("c_total", x="a") == 9


def test_what_was_set_last_outlives_its_worker(directory, registry):
    """It is a fact, such as the time of the last success, not a state of the worker."""
    Gauge("last", "", registry=registry, multiprocess_mode="mostrecent").set(5)
    Gauge("all", "", registry=registry).set(5)

    forget_worker(directory, "0")

    assert exposed(directory) == {("last", frozenset()): 5}
