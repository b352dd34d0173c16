"""Values in slots' files: exact under threads, kept through death, read as they were meant."""

import os
import subprocess
import sys
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, values
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from support.scraping import parse

from swarmscope.server.directory import forget_worker
from swarmscope.server.ended_processes import fold
from swarmscope.server.exposition import Exposition
from swarmscope.server.slots import FILES, observer, use_slots


@pytest.fixture(name="directory")
def _directory(tmp_path, monkeypatch):
    """A directory to which this process writes as slot 0, for one test."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    use_slots()
    FILES.attach(tmp_path, "0")
    yield tmp_path
    FILES.detach()


@pytest.fixture(name="registry")
def _registry():
    return CollectorRegistry()


def exposed(directory):
    return parse(Exposition(directory).render().decode())


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


def fill(registry):
    """Give every type and mode of metric a value, with what text has to escape."""
    text = 'a "quoted"\nback\\slash'
    Counter("c", text, ["x"], registry=registry).labels(text).inc(1.5)
    Summary("s", "", registry=registry).observe(3)
    Histogram("h", "", ["x", "z"], registry=registry).labels("1", "é").observe(0.3)
    Histogram("bare", "", registry=registry).observe(1e9)
    for mode in Gauge._MULTIPROC_MODES:
        gauge = Gauge(f"g_{mode}", "", ["x"], registry=registry, multiprocess_mode=mode)
        gauge.labels("a").set(float(FILES.slot or 0) + 0.5)
    for number in range(300):  # the files grow beyond their first size
        Histogram(f"many_{number}", "", registry=registry).observe(number)


def test_the_text_is_what_prometheus_client_would_make_of_it(directory):
    """Sample by sample, over several slots: sums, buckets, every mode of gauge, escaping."""
    for slot in ("0", "1", "2"):
        FILES.attach(directory, slot)
        fill(CollectorRegistry())
    theirs = CollectorRegistry()
    MultiProcessCollector(theirs, str(directory))
    expected = parse(generate_latest(theirs).decode())
    ours = Exposition(directory)

    assert parse(ours.render().decode()) == expected
    assert len(expected) > 300 * 17
    assert parse(ours.render().decode()) == expected  # nothing is added up twice


def test_a_changed_help_makes_no_second_series(directory):
    """A reload brings a new wording: counters go on, and no sample stands twice in the text."""
    for text, amount in (("Jobs", 5), ("Jobs that were done", 2)):
        registry = CollectorRegistry()
        Counter("c", text, registry=registry).inc(amount)
        Histogram("h", text, registry=registry).observe(amount)
        Gauge("g", text, registry=registry).set(amount)

    lines = Exposition(directory).render().decode().splitlines()
    names = [line.rpartition(" ")[0] for line in lines]

    assert len(set(names)) == len(names)
    assert {"c_total 7.0", "h_count 2.0", "h_sum 7.0", 'g{pid="0"} 2.0'} <= set(lines)


def test_series_that_come_later_are_shown(directory, registry):
    """A reader notices new series, new files, files that grew and files that went."""
    counter = Counter("c", "", ["x"], registry=registry)
    reader = Exposition(directory)
    counter.labels("a").inc()
    assert parse(reader.render().decode()).total("c_total") == 1

    for number in range(2000):
        counter.labels(number).inc()
    gauge = Gauge("g", "", registry=registry, multiprocess_mode="livesum")
    gauge.set(7)
    found = parse(reader.render().decode())
    assert (found.total("c_total"), found.value("g")) == (2001, 7)

    forget_worker(directory, "0")
    found = parse(reader.render().decode())
    assert found.total("c_total") == 2001
    assert ("g", frozenset()) not in found

    FILES.attach(directory, "0")
    gauge.inc(1)
    assert parse(reader.render().decode()).value("g") == 1


PROGRAM = """
from prometheus_client import Counter, Gauge, Histogram
Counter("c", "").inc(2)
Histogram("h", "").observe(0.3)
Gauge("last", "", multiprocess_mode="mostrecent").set({number})
Gauge("live", "", multiprocess_mode="livesum").set(1)
"""


def test_programs_that_ended_leave_one_slot(directory, registry, monkeypatch):
    """Their counters are added up, what was set last stays, and those that run are left alone."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    Counter("c", "", registry=registry).inc(5)
    reader = Exposition(directory)
    for number in range(3):
        command = [sys.executable, "-c", PROGRAM.format(number=number)]
        subprocess.run(command, check=True)
        before = parse(reader.render().decode())
        fold(directory, {0})
        assert before.value("c_total") == exposed(directory).value("c_total") == 7 + 2 * number
    (directory / "counter_4000000.db").touch()  # it was killed before it had written anything
    running = directory / f"counter_{os.getpid()}.db"
    running.write_bytes((directory / "counter_gone.db").read_bytes())
    fold(directory, {0})

    found = parse(reader.render().decode())
    assert (found.value("c_total"), found.value("h_count")) == (5 + 6 + 6, 3)
    assert found.value("last") == 2
    assert "live" not in {name for name, _ in found}
    kinds = ("counter", "histogram", "gauge_mostrecent")
    assert {path.name for path in directory.iterdir()} == {
        *("counter_0.db", running.name),
        *(f"{kind}_gone.db" for kind in kinds),
    }


def test_a_file_that_is_being_made_is_no_error(directory, registry):
    """It is empty for a moment; and a file of another's is not ours to read."""
    Counter("c", "", registry=registry).inc()
    (directory / "histogram_7.db").touch()
    (directory / "notes.txt").write_text("x")

    assert exposed(directory).value("c_total") == 1


def test_what_was_set_last_outlives_its_worker(directory, registry):
    """It is a fact, such as the time of the last success, not a state of the worker."""
    Gauge("last", "", registry=registry, multiprocess_mode="mostrecent").set(5)
    Gauge("all", "", registry=registry).set(5)

    forget_worker(directory, "0")

    assert exposed(directory) == {("last", frozenset()): 5}
