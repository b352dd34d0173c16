"""The probe in a worker: it runs while marked requests come, and sees who holds the GIL."""

from __future__ import annotations

import threading

import pytest
from support.waiting import poll_until

from swarmscope.server import probe
from swarmscope.server.probe import Probe
from swarmscope.server.probe_file import LATE, WAKES, open_cells, path_of


class Marked:
    """Counts marked requests; `expected` once the probe has ended."""

    def __init__(self):
        self.seconds, self.expected = 0.0, threading.Event()

    def queued_seconds(self):
        """Return the sum of their queues."""
        return self.seconds

    def expect_marked(self):
        """Note that the next one is to start the probe."""
        self.expected.set()


class Worker:
    """Knows its slot."""

    slot = 3


@pytest.fixture(name="quick")
def _quick(monkeypatch):
    monkeypatch.setattr(probe, "INTERVAL_S", 0.005)
    monkeypatch.setattr(probe, "LOOK_S", 0.02)
    monkeypatch.setattr(probe, "IDLE_S", 0.5)


@pytest.fixture(name="cells")
def _cells(tmp_path):
    path = path_of(tmp_path, "3")
    return lambda: list(open_cells(path, create=False))


def test_it_ends_without_marked_requests_and_starts_with_the_next(quick, tmp_path, cells):
    one, marked = Probe(), Marked()
    one.attach(Worker(), tmp_path)
    assert cells()[WAKES] == 0

    one.start(marked)
    assert marked.expected.wait(10)
    first = cells()[WAKES]
    marked.expected.clear()
    one.start(marked)
    assert marked.expected.wait(10)

    assert 0 < first < cells()[WAKES]


def test_it_runs_on_while_marked_requests_come(quick, tmp_path, cells):
    one, marked = Probe(), Marked()
    one.attach(Worker(), tmp_path)
    one.start(marked)

    def more():
        marked.seconds += 0.01
        return cells()[WAKES] > 200  # over a second

    poll_until(more, "many wakes", every=0.02)
    assert not marked.expected.is_set()
    assert marked.expected.wait(10)


def test_without_a_worker_it_does_not_run(tmp_path):
    marked = Marked()
    Probe().start(marked)

    assert "swarmscope-probe" not in {thread.name for thread in threading.enumerate()}


def test_it_wakes_late_while_other_threads_want_the_gil(quick, tmp_path, cells):
    """At most 5 ms each, the switch interval of the interpreter; the kernel may stop the others."""
    one, marked = Probe(), Marked()
    one.attach(Worker(), tmp_path)
    done = threading.Event()

    def burn():
        while not done.is_set():
            sum(range(100))

    def more():
        marked.seconds += 0.01
        return cells()[WAKES] >= 20

    burners = [threading.Thread(target=burn) for _ in range(2)]
    for burner in burners:
        burner.start()
    try:
        one.start(marked)
        poll_until(more, "some wakes")
        wakes, late_s = cells()[WAKES], cells()[LATE]
    finally:
        done.set()
        for burner in burners:
            burner.join()
    assert marked.expected.wait(10)

    assert late_s / wakes > 0.002


def test_a_second_worker_of_a_slot_goes_on_where_the_first_ended(tmp_path, cells):
    open_cells(path_of(tmp_path, "3"), create=True)[WAKES] = 7.0

    Probe().attach(Worker(), tmp_path)

    assert cells()[WAKES] == 7
