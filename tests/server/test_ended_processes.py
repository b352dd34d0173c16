"""The values of programs that have ended are added up."""

import os
import subprocess
import sys

from prometheus_client import Counter
from support.instrumented import exposed
from support.scraping import parse

from swarmscope.server.ended_processes import merge_ended
from swarmscope.server.exposition import Exposition

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
        merge_ended(directory, {0})
        assert before.value("c_total") == exposed(directory).value("c_total") == 7 + 2 * number
    (directory / "counter_4000000.db").touch()  # it was killed before it had written anything
    running = directory / f"counter_{os.getpid()}.db"
    running.write_bytes((directory / "counter_gone.db").read_bytes())
    merge_ended(directory, {0})

    found = parse(reader.render().decode())
    assert (found.value("c_total"), found.value("h_count")) == (5 + 6 + 6, 3)
    assert found.value("last") == 2
    assert "live" not in {name for name, _ in found}
    kinds = ("counter", "histogram", "gauge_mostrecent")
    assert {path.name for path in directory.iterdir()} == {
        *("counter_0.db", running.name),
        *(f"{kind}_gone.db" for kind in kinds),
    }
