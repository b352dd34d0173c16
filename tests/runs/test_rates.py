"""A constant rate is that rate, however long the run was, and the same wherever it is shown."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from support.command import swarmscope
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import assembly, queries
from swarmscope.runs.compare.comparison import compare
from swarmscope.runs.connection import Connection

PER_S = 100
RAMP_S = 0.02  # when all users were there


def constant(seconds: float) -> list[Sample]:
    """A hundred requests each second, from two workers, of one endpoint."""
    number = round(seconds * PER_S)
    return [Sample((n + 0.5) / PER_S, 5, worker=f"worker-{n % 2}") for n in range(number)]


def everywhere(connection: Connection, database: str, run: Any, whole: bool) -> dict[str, float]:
    """Return the rate of all requests of the one run by the name of what shows it."""
    more = ("--whole",) if whole else ()
    where = ("--database", database)
    (listed,) = json.loads(swarmscope("runs", "--json", *where).stdout)
    shown = json.loads(swarmscope("show", "--json", *more, *where).stdout)
    checked = json.loads(swarmscope("check", "--rps", "1", "--json", *more, *where).stdout)
    found = queries.find(connection, "latest")
    changes = compare(connection, found, found, whole).changes
    (row,) = [
        s for s in queries.summary(connection, run, whole) if (s.name, s.part) == ("", "response")
    ]
    since = START - timedelta(seconds=2) if row.is_whole else row.since
    span = [run, since, START + timedelta(hours=1)]

    def of(query: str) -> float:
        return float(connection.execute(query, span).fetchall()[0][0])

    return {
        "check": checked["outcomes"][0]["value"],
        "show": shown["totals"]["requests_per_s"],
        "document": assembly.assemble(connection, run, whole).totals.requests_per_s,
        "compare": next(c.a for c in changes if (c.name, c.measure) == ("", "requests_per_s")),
        "endpoints": of("SELECT requests_per_s FROM endpoints(%s, %s, %s)"),
        "by_worker": of("SELECT sum(requests_per_s) FROM by_worker(%s, %s, %s)"),
    } | (
        {}
        if whole
        else {
            "runs": listed["requests_per_s"],
            "run_list": float(
                connection.execute("SELECT requests_per_s FROM run_list()").fetchall()[0][0]
            ),
        }
    )


A_FEW = {(5.02, 0.75), (10.01, 0.0), (30.0, 0.3), (61.7, 0.75)}


@pytest.mark.parametrize(
    ("seconds", "began_s"),
    [
        pytest.param(*both, marks=() if both in A_FEW else pytest.mark.proof)
        for both in product((5.02, 10.01, 30.0, 61.7), (0.0, 0.3, 0.75))
    ],
)
def test_a_constant_rate_is_the_same_everywhere(connection, runs_database, seconds, began_s):
    """The first and the last second count by how much of them the run lasted."""
    start = START + timedelta(seconds=began_s)
    run = store_run(connection, constant(seconds), start, RAMP_S, seconds)

    for whole in (False, True):
        found = everywhere(connection, runs_database, run, whole)
        assert found == dict.fromkeys(found, pytest.approx(PER_S, abs=0.5)), whole
        assert len({round(rate, 6) for rate in found.values()}) == 1, whole


def test_a_curve_of_one_point_is_the_rate_of_the_run(connection):
    """A point's rate is over that part of it in which the run was on."""
    start = START.replace(second=3)
    run = store_run(connection, constant(30), start, lasted_s=30)

    points = connection.execute(
        "SELECT requests_per_s FROM latency(%s, %s, %s, 60)",
        [run, start, start + timedelta(minutes=5)],
    ).fetchall()

    assert points == [(pytest.approx(PER_S, abs=0.1),)]


def test_the_workers_say_when_a_run_ended(connection):
    """A leader may wait for its workers, or not; what counts is when their users had ended."""
    run = store_run(connection, constant(20), lasted_s=20)
    for seconds in (19.0, 22.5):
        connection.execute("UPDATE testrun SET end_time = %s", [START + timedelta(seconds=seconds)])
        assert queries.summary(connection, run)[0].requests_per_s == pytest.approx(PER_S)


def test_a_run_without_workers_of_ours_ended_when_it_says(connection):
    """As locust-plugins' own listener wrote them; and where none says, with its windows."""
    run = store_run(connection, constant(20), lasted_s=20)
    connection.execute("DELETE FROM run_worker")
    assert queries.summary(connection, run)[0].requests_per_s == pytest.approx(PER_S)

    connection.execute("UPDATE testrun SET end_time = NULL, status = 'aborted'")
    assert queries.summary(connection, run)[0].requests_per_s == pytest.approx(2000 / 20.75)


def test_a_run_that_is_on_lasts_until_its_last_user_count(connection):
    """So its rate falls while nothing finishes."""
    run = store_run(connection, constant(20), lasted_s=None)
    for seconds in (20.0, 40.0):
        connection.execute(
            "INSERT INTO user_count VALUES ('plan', 10, %s, %s)",
            [START + timedelta(seconds=seconds), run],
        )
        rate = queries.summary(connection, run)[0].requests_per_s
        assert rate == pytest.approx(2000 / seconds)
