"""Components of some endpoints together: what the database finds of all of them."""

from __future__ import annotations

from dataclasses import astuple
from random import Random

import pytest
from support.stored_runs import Sample, store_run

from swarmscope.runs import component_windows, judged_components, queries


def _samples() -> list[Sample]:
    """Requests of three endpoints; of one of them none, of another few query the database."""
    random, samples = Random(3), []
    for number in range(600):
        cpu, kind = random.lognormvariate(1, 0.5), number % 3
        parts = {"service": cpu, "cpu": cpu}
        if kind == 1 or (kind == 2 and number % 10 == 0):
            db, calls = random.lognormvariate(3, 1), random.choice([1.0, 2.0, 41.0])
            parts = {"service": cpu + db, "cpu": cpu, "db": db, "db_calls": calls}
        samples.append(Sample(1 + number / 12, 500, f"/{kind}", parts=parts))
    return samples


def test_all_endpoints_together_are_the_run(connection):
    """Zeros included: mean, percentiles and maximum of each part, as SQL has them."""
    run = store_run(connection, _samples())
    stored = queries.component_summary(connection, run, True)
    span = (stored[0].since, stored[0].until)

    found = component_windows.windows(connection, run, *span)
    single = [window for window in found if window.name]
    together = judged_components.together(single, stored)

    assert {row.name for row in single} == {"/0", "/1", "/2"}
    expected = {row.part: astuple(row) for row in stored if not row.name}
    assert expected.keys() == {"cpu", "db", "db_calls"}
    for row in together:
        assert astuple(row) == tuple(
            pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            for value in expected[row.part]
        )
    assert [row.p50 for row in together] != [0, 0, 0]


def test_of_some_endpoints_only_theirs_count(connection):
    """One that never queries the database has a p95 of 0, not that of the others."""
    run = store_run(connection, _samples())
    stored = queries.component_summary(connection, run, True)
    windows = component_windows.windows(
        connection, run, stored[0].since, stored[0].until, names=["/0"]
    )

    rows = {row.part: row for row in judged_components.together(windows, stored)}

    assert (rows["db"].requests, rows["db"].used) == (200, 0)
    assert (rows["db"].mean, rows["db"].p95, rows["db_calls"].mean) == (0, 0, 0)
