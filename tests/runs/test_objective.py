"""Whether a run met its objective, and when that is left open."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.stored_runs import START, Sample, store_run

from swarmscope.cli import tables
from swarmscope.runs import assembly, queries


def test_the_objective_is_judged_by_the_settings(connection):
    """p95 and share of failures, both within their limits."""
    samples = [Sample(i / 10, 400) for i in range(99)] + [Sample(9.9, 400, failed=True)]
    store_run(connection, samples)
    assert queries.find(connection, "latest").objective_met

    connection.execute("UPDATE setting SET value = 380 WHERE name = 'objective_ms'")
    assert queries.find(connection, "latest").objective_met is False

    connection.execute("UPDATE setting SET value = 450 WHERE name = 'objective_ms'")
    connection.execute("UPDATE setting SET value = 0.005 WHERE name = 'objective_fail_ratio'")
    assert queries.find(connection, "latest").objective_met is False


def test_the_objective_is_the_designs(connection):
    """p95 within 450 ms, at most one request in a hundred failed."""
    names = ["objective_quantile", "objective_ms", "objective_fail_ratio"]
    values = connection.execute("SELECT setting_of(n) FROM unnest(%s::text[]) n", [names])

    assert values.fetchall() == [(0.95,), (450,), (0.01,)]


def test_a_run_is_judged_by_its_own_objective(connection):
    """What its options said goes before the settings, for the list, endpoints and documents."""
    run = store_run(connection, [Sample(i / 10, 400) for i in range(200)])
    connection.execute(
        "UPDATE testrun SET objective_quantile = 0.95, objective_ms = 100, objective_fail_ratio = 0"
    )

    found = queries.find(connection, "latest")
    made = assembly.assemble(connection, run)

    assert (found.objective_met, found.objective_ms) == (False, 100)
    assert (made.objective.limit_ms, made.objective.met) == (100, False)
    span = [run, START, START + timedelta(seconds=60)]
    endpoints = connection.execute("SELECT objective FROM endpoints(%s, %s, %s)", span)
    assert endpoints.fetchall() == [("missed",), ("missed",)]
    assert connection.execute("SELECT objective FROM run_list()").fetchall() == [("missed",)]


@pytest.mark.parametrize(
    ("requests", "failed", "met"),
    [(2, 0, None), (99, 0, None), (100, 0, True), (2, 1, False), (100, 2, False)],
)
def test_too_few_requests_leave_the_objective_open(connection, requests, failed, met):
    """Of less than a hundred one failure would be more than 1 %; more than that is certain."""
    samples = [Sample(i / 10, 20, failed=i < failed) for i in range(requests)]
    run = store_run(connection, samples)

    made = assembly.assemble(connection, run)

    assert queries.find(connection, "latest").objective_met is made.objective.met is met
    assert made.objective.reason == (
        f"{requests} requests are too few, 100 are needed" if met is None else ""
    )
    (listed,) = connection.execute("SELECT objective FROM run_list()").fetchone()
    assert listed == {None: "not judged", True: "met", False: "missed"}[met]


def test_a_search_for_the_capacity_is_not_held_to_the_objective_as_a_whole(connection):
    """It goes beyond it on purpose: its verdict says where the objective held."""
    run = store_run(connection, [Sample(i / 10, 20) for i in range(200)])
    connection.execute("UPDATE testrun SET capacity_search = true")

    made = assembly.assemble(connection, run)

    assert (made.objective.met, made.totals.objective_met) == (None, None)
    assert "the verdict says where it held" in made.objective.reason
    found = queries.find(connection, "latest")
    assert "not judged (p95 within 450 ms" in tables.facts_table(found).columns[1]._cells[-1].plain
    query = "SELECT objective FROM endpoints(%s, %s, now())"
    assert set(connection.execute(query, [run, START]).fetchall()) == {("not judged",)}
