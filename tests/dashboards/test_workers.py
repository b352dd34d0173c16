"""The generator's table of workers says what was odd about each one's samples."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import dict_row
from support.databases import fresh_runs_database
from support.stored_runs import Sample, store_run

from benchmarks._dashboard_queries import DASHBOARDS, load, panels

(GENERATOR,) = [path for path in DASHBOARDS if path.stem == "generator"]


@pytest.fixture
def panel() -> dict:
    """The panel that has a row for each worker."""
    (found,) = [p for p in panels(load(GENERATOR)) if p["title"] == "What did each worker do?"]
    return found


def test_starts_corrected_and_requests_after_the_stop_are_by_worker(cluster, panel):
    """As the page and `show` have them of all workers together."""
    query = panel["targets"][0]["rawSql"].replace("${run:sqlstring}", "'latest'")
    with fresh_runs_database(cluster) as name, psycopg.connect(name) as connection:
        store_run(connection, [Sample(1, 5), Sample(2, 5, worker="worker-2")])
        connection.execute(
            "UPDATE run_worker SET corrected = 3, after_stop = 4 WHERE worker = 'worker-2'"
        )
        rows = connection.cursor(row_factory=dict_row).execute(query).fetchall()

    assert [(row["worker"], row["start corrected"], row["after stop"]) for row in rows] == [
        ("worker-1", 0, 0),
        ("worker-2", 3, 4),
    ]


def test_what_is_odd_is_coloured(panel):
    """Each such column has a colour from the first sample on."""
    coloured = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        for setting in override["properties"]
        if setting["id"] == "thresholds" and [s["value"] for s in setting["value"]["steps"]][1:]
    }

    assert {"dropped", "clock-skewed", "start corrected", "after stop"} <= coloured
