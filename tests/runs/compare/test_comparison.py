"""What the database says of several runs: their list, and two of them beside each other."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from support.databases import database_of_roles
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import queries
from swarmscope.runs.histogram import RELATIVE_ERROR

PARTS = {"queue": 4.0, "service": 20.0}
STARTS = [START + timedelta(hours=hour, seconds=hour * 7.3) for hour in range(4)]


def _steady(ms, name="/tests", every_s=0.5, lasts_s=40):
    return [
        Sample(at_s=number * every_s, ms=ms, name=name, parts=PARTS)
        for number in range(int(lasts_s / every_s))
    ]


@pytest.fixture(scope="module")
def connection(cluster):
    """Store four runs: the last is twice as fast as the first, both of the same plan."""
    with database_of_roles(cluster) as database, psycopg.connect(database.owner) as connection:
        before = _steady(100) + _steady(50, "/gone")
        store_run(connection, before, STARTS[0], lasted_s=40, testplan="/srv/plan.py")
        store_run(connection, _steady(30), STARTS[1], lasted_s=40, testplan="other.py")
        store_run(connection, [], STARTS[2], lasted_s=None, testplan="idle.py")
        after = _steady(50, every_s=0.25) + _steady(50, "/new")
        store_run(connection, after, STARTS[3], lasted_s=40, testplan="/srv/plan.py")
        connection.execute(
            "UPDATE testrun SET changeset_guid = 'v2', description = 'faster' WHERE id = %s",
            [STARTS[3]],
        )
        connection.execute(
            "INSERT INTO events (time, run_id, kind, text)"
            " VALUES (now(), %s, 'verdict', 'Plenty.')",
            [STARTS[3]],
        )
        for seconds in range(40):
            connection.execute(
                "INSERT INTO user_count VALUES ('plan.py', %s, %s, %s)",
                [seconds, STARTS[3] + timedelta(seconds=seconds), STARTS[3]],
            )
        connection.commit()
        yield connection
        connection.rollback()


def test_the_list_has_every_run_latest_first(connection):
    """Its figures are those of `swarmscope runs`, and its links span the run."""
    listed = _named(connection, "SELECT * FROM run_list()")
    known = queries.runs(connection, 10)

    assert [row["started"] for row in listed] == STARTS[::-1]
    for row, run in zip(listed, known, strict=True):
        assert row["run"] == run.run
        figures = [run.requests_per_s, run.p50_ms, run.p95_ms, run.p99_ms, run.fail_ratio]
        named = ("requests_per_s", "p50_ms", "p95_ms", "p99_ms", "fail_ratio")
        assert [row[name] for name in named] == figures
    latest = listed[0]
    assert (latest["testplan"], latest["users"], latest["duration_s"]) == ("plan.py", 10, 40)
    assert (latest["version"], latest["description"]) == ("v2", "faster")
    assert (latest["verdict"], latest["objective"]) == ("Plenty.", "met")
    assert latest["service_p95_ms"] == pytest.approx(20, rel=RELATIVE_ERROR)
    assert int(latest["since"]) / 1000 < STARTS[3].timestamp()
    assert int(latest["until"]) / 1000 > STARTS[3].timestamp() + 40


def test_the_list_says_what_state_a_run_is_in(connection):
    """A run that is over but has not all its samples is neither finished nor running."""
    connection.execute("UPDATE run_worker SET stopped = NULL WHERE run_id = %s", [STARTS[0]])

    states = [row["status"] for row in _named(connection, "SELECT * FROM run_list()")]

    assert states == ["finished", "running", "finished", "incomplete"]
    connection.rollback()


def test_the_list_is_bounded(connection):
    assert [row["started"] for row in _named(connection, "SELECT * FROM run_list(2)")] == [
        STARTS[3],
        STARTS[2],
    ]


def _named(connection, query, *values):
    cursor = connection.execute(query, values)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize(
    ("named", "of", "found"),
    [
        ("previous", 3, STARTS[0]),  # the one between is of another plan
        ("previous", 0, None),
        ("previous", 1, None),
        ("latest", 0, STARTS[3]),
        (2, 0, STARTS[2]),
        ("nothing", 3, None),
    ],
)
def test_a_baseline_is_the_run_before_or_any_other(connection, named, of, found):
    run = queries.runs(connection, 10)[3 - of].run
    named = queries.runs(connection, 10)[3 - named].run if isinstance(named, int) else named

    (baseline,) = connection.execute("SELECT baseline_of(%s, %s)", [named, run]).fetchone()

    assert baseline == found


def test_differences_are_those_of_the_figures(connection):
    """By endpoint, also where one of both runs has it only; all together first."""
    rows = _named(connection, "SELECT * FROM differences(%s, %s)", STARTS[3], STARTS[0])

    by_endpoint = {row.pop("endpoint"): row for row in rows}
    assert list(by_endpoint) == ["All endpoints", "GET /gone", "GET /new", "GET /tests"]
    tests = by_endpoint["GET /tests"]
    assert tests["p95_ms"] == pytest.approx(50, rel=RELATIVE_ERROR)
    assert tests["p95_change"] == pytest.approx(-0.5, abs=2 * RELATIVE_ERROR)
    assert tests["requests_per_s"] == pytest.approx(4)
    assert tests["requests_per_s_change"] == pytest.approx(1)
    assert tests["service_p95_change"] == tests["queue_p95_change"] == 0
    assert tests["fail_ratio"] == tests["fail_ratio_change"] == 0
    assert set(by_endpoint["GET /gone"].values()) == {None}
    new = by_endpoint["GET /new"]
    assert {value for name, value in new.items() if name.endswith("_change")} == {None}
    assert new["p50_ms"] == pytest.approx(50, rel=RELATIVE_ERROR)


def test_a_run_differs_from_itself_by_nothing(connection):
    rows = _named(connection, "SELECT * FROM differences(%s, %s)", STARTS[3], STARTS[3])

    assert {value for row in rows for name, value in row.items() if "_change" in name} == {0}


def test_two_runs_share_one_axis(connection):
    """Points are by the time since each run's start, whatever the hour and the second were."""
    rows = _named(connection, "SELECT * FROM side_by_side(%s, %s)", STARTS[3], STARTS[0])

    assert [row["elapsed_s"] for row in rows] == list(range(len(rows)))
    assert len(rows) in (40, 41, 42)
    assert sum(row["requests_per_s"] or 0 for row in rows) == pytest.approx(240, rel=0.02)
    inner = rows[1:38]
    assert {row["baseline_requests_per_s"] for row in inner} == {4}
    assert all(row["p95_ms"] == pytest.approx(50, rel=RELATIVE_ERROR) for row in inner)
    assert all(row["baseline_p95_ms"] == pytest.approx(100, rel=RELATIVE_ERROR) for row in inner)
    assert all(row["service_p95_ms"] == pytest.approx(20, rel=RELATIVE_ERROR) for row in inner)
    assert [row["users"] for row in rows[:38]] == list(range(38))


def test_an_overlay_of_long_runs_has_few_points(connection):
    """However long the longer of both runs was, points are as many as asked for, roughly."""
    connection.execute(
        "UPDATE testrun SET end_time = id + interval '3 hours' WHERE id = %s", [STARTS[0]]
    )

    rows = _named(connection, "SELECT * FROM side_by_side(%s, %s, 100)", STARTS[3], STARTS[0])

    assert 80 <= len(rows) <= 110
    assert rows[1]["elapsed_s"] == 120
    connection.rollback()


def test_a_run_without_a_baseline_stands_alone(connection):
    rows = _named(connection, "SELECT * FROM side_by_side(%s, NULL)", STARTS[3])

    assert {row["baseline_p95_ms"] for row in rows} == {None}
    assert any(row["p95_ms"] for row in rows)
    assert _named(connection, "SELECT * FROM side_by_side(NULL, NULL)") == []
    assert _named(connection, "SELECT * FROM differences(NULL, NULL)") == []
