"""What tests of several verbs share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.stored_runs import HOSTILE, START, Sample, store_run


@pytest.fixture
def two_runs(connection) -> None:
    """An early run that met the objective, and a later one that failed and is not complete."""
    parts = {"queue": 1.0, "service": 20.0, "outside": 2.0}
    early = [Sample(i / 10, 20 + i % 5, parts=parts) for i in range(500)]
    store_run(connection, early, ramp_s=9.75, lasted_s=50)
    later = START + timedelta(hours=1)
    samples = [Sample(i / 10, 900, HOSTILE, "PO\x1bST", failed=True) for i in range(300)]
    store_run(connection, samples, start=later, lasted_s=30, testplan=HOSTILE)
    connection.execute(
        "UPDATE run_worker SET stopped = NULL, outcome = NULL, dropped = 7 WHERE run_id = %s",
        [later],
    )
