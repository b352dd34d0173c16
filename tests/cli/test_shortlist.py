"""Of a run with very many endpoints, a terminal shows those that people look for first."""

from __future__ import annotations

from support.command import answer
from support.stored_runs import Sample, store_run

from swarmscope.cli import shortlist


def test_a_comparison_shows_what_changed_first():
    """Of very many endpoints, those that became worse, then those that became better."""
    verdicts = [((f"/{i}", "GET"), "same") for i in range(100)]
    verdicts += [(("/50", "GET"), "worse"), (("/60", "GET"), "better"), (("", ""), "same")]

    shown = shortlist.changed(verdicts)

    assert {("", ""), ("/50", "GET"), ("/60", "GET")} <= shown
    assert len(shown) == shortlist.FEW + 1


def test_a_run_of_hundreds_of_endpoints_fits_on_a_screen(connection, runs_database):
    """The busiest, slowest and most failing are shown; the rest is counted, with a way to it."""
    parts = {"queue": 1.0, "service": 5.0, "outside": 2.0}
    samples = [Sample(i / 100, 20, f"/item/{i}", parts=parts) for i in range(300)]
    samples += [Sample(20 + i / 10, 20, "/busy", parts=parts) for i in range(100)]
    samples += [Sample(31, 5000, "/slow"), Sample(32, 20, "/failing", failed=True)]
    store_run(connection, samples)

    few = answer("show", "--database", runs_database, columns=140)
    every = answer("show", "--all", "--database", runs_database, columns=140)

    assert all(name in few for name in ("all endpoints", "GET /busy", "GET /slow", "GET /failing"))
    assert len(few.splitlines()) < 120
    shown = sum(line.startswith("GET ") for line in few.splitlines())
    assert f"{303 - shown} of 303 endpoints are left out" in few
    assert "--all" in few
    assert sum(line.startswith("GET ") for line in every.splitlines()) == 303
    assert "left out" not in every
