"""Runs with another load, machine or environment are left out, and what else differs is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import queries
from swarmscope.runs.trend import gate, history
from swarmscope.runs.trend.history import Figure

RUNS = 10
LAST = START + timedelta(days=RUNS - 1)
FIRST_THREE = "WHERE id < '2026-03-04'"
LEFT_OUT = [
    ("machine = CASE WHEN id < '2026-03-04' THEN '2 × A' ELSE '4 × B' END", "3 of another machine"),
    (f"target_users = 11 {FIRST_THREE}", "3 with another load"),
    (f"scenario = 'Other' {FIRST_THREE}", "3 with another load"),
    (f"profile_name = 'spike' {FIRST_THREE}", "3 with another load"),
    (f"settings = '{{\"spawn_rate\": 2}}' {FIRST_THREE}", "3 with another load"),
    (f"settings = '{{\"run_time\": 600}}' {FIRST_THREE}", "3 with another load"),
    (f"env = 'production' {FIRST_THREE}", "3 in another environment"),
]
DOUBTS = [
    (
        "scenario_hash = CASE WHEN id < '2026-03-04' THEN 'old' ELSE 'new' END",
        "The scenario's files were edited meanwhile: 2 versions.",
    ),
    (
        f"objective_ms = 300 {FIRST_THREE}",
        "The SLO was changed meanwhile: p95 300 ms, 1 % failed; p95 450 ms, 1 % failed.",
    ),
    (
        "machine = '4 × B' WHERE id > '2026-03-04'",
        "The machine of some of these runs is not known.",
    ),
    (
        "host = CASE WHEN id < '2026-03-04' THEN 'http://a:1' ELSE 'http://b:2' END",
        "They had different targets: a, b.",
    ),
    (f"end_time = id + interval '3 min' {FIRST_THREE}", "They lasted from 60 to 180 s."),
]


@pytest.fixture(scope="module")
def stored(cluster) -> Iterator[psycopg.Connection[Any]]:
    """A run a day of branch main, each a little slower."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        for number in range(RUNS):
            samples = [Sample(at / 2, 20 + at % 3 + number / 10) for at in range(60)]
            store_run(connection, samples, START + timedelta(days=number))
        connection.execute("UPDATE testrun SET branch = 'main'")
        connection.commit()
        yield connection


@pytest.fixture
def runs(stored) -> Iterator[psycopg.Connection[Any]]:
    """The same, for a test to change."""
    yield stored
    stored.rollback()


def trend(runs) -> history.Trend:
    return history.trend(runs, None, Figure(), 50)


def expected(runs, label: str = "main") -> gate.Expected:
    return gate.expected(runs, queries.by_id(runs, LAST), label)


@pytest.mark.parametrize(("change", "said"), LEFT_OUT)
def test_what_is_not_alike_is_left_out_and_counted(runs, change, said):
    """By a trend, and by a gate."""
    runs.execute(f"UPDATE testrun SET {change}")

    found = trend(runs)

    assert (found.left_out, len(found.points)) == (said, RUNS - 3)
    assert f"Left out of the plan's runs: {said}." in history.sentences(found)
    words = expected(runs).words
    assert "the last 6 comparable runs of main" in words
    assert f"Left out: {said}." in words


@pytest.mark.parametrize(("change", "said"), DOUBTS)
def test_what_else_differs_is_named(runs, change, said):
    """The runs count all the same."""
    runs.execute(f"UPDATE testrun SET {change}")

    found = trend(runs)

    assert (found.doubts, len(found.points)) == ([said], RUNS)
    assert said in history.sentences(found)
    assert said in expected(runs).words


def test_alike_runs_need_no_words(runs):
    """A test's server has another port each time; objectives and checks are no load."""
    runs.execute(
        "UPDATE testrun SET host = 'http://a:' || extract(day FROM id),"
        " settings = json_build_object('host', id, 'slo_p95', id, 'check_p95', id)"
    )

    assert (trend(runs).left_out, trend(runs).doubts) == ("", [])
    assert expected(runs).words.endswith("exceed one of them.")


def test_too_few_alike_runs_judge_nothing(runs):
    runs.execute("UPDATE testrun SET target_users = 11 WHERE id < '2026-03-06'")

    assert expected(runs) == gate.Expected(
        [], "4 earlier runs of main are comparable, 5 needed. Left out: 5 with another load."
    )


def test_a_percentile_of_too_few_requests_has_no_limit(runs):
    """It varies beyond measure from run to run; endpoints with more are judged."""
    for table in ("histogram_closed", "histogram_open"):
        runs.execute(f"DELETE FROM {table} WHERE run_id = %s AND time > run_id", [START])

    assert expected(runs) == gate.Expected(
        [], "No endpoint had 59 requests in each comparable run of main."
    )


def test_an_environment_that_is_asked_for_may_be_another(runs):
    """And is named; the environment of a branch's runs may not."""
    runs.execute("UPDATE testrun SET env = 'production' WHERE id < %s", [LAST])

    found = expected(runs, "production")

    assert found.limits
    assert "They were in different environments: production, test." in found.words
    assert "Left out: 9 in another environment." in expected(runs).words


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE testrun SET status = 'running' {FIRST_THREE}",
        f"UPDATE testrun SET capacity_search = true {FIRST_THREE}",
        "UPDATE run_worker SET stopped = NULL WHERE run_id < '2026-03-04'",
        "DELETE FROM histogram_closed WHERE run_id < '2026-03-04'",
        f"UPDATE testrun SET testplan = 'other.py' {FIRST_THREE}",
    ],
)
def test_runs_without_figures_of_their_own_are_none(runs, change):
    """Incomplete ones, capacity searches, those without requests, and other plans."""
    runs.execute(change)
    if change.startswith("DELETE"):
        runs.execute("DELETE FROM histogram_open WHERE run_id < '2026-03-04'")

    assert (len(trend(runs).points), trend(runs).left_out) == (RUNS - 3, "")


def test_a_gate_looks_back_only(runs):
    """Later runs are no history, unless they come from files."""
    past = queries.by_id(runs, START + timedelta(days=5))
    later = [f"2026-03-{day:02}T12:00:00.250000Z" for day in (7, 8, 9, 10)]

    assert "the last 5 comparable runs" in gate.expected(runs, past, "main").words
    assert "4 earlier runs of x are" in gate.expected(runs, past, "x", later).words
