"""Which part of a run its figures are of: one answer, the same for every reader."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from support.command import swarmscope
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import assembly, queries, sample_size

RAMP_S = 50


def ramp_up() -> list[Sample]:
    """Fifty seconds in which users are started; 40 requests each second."""
    return [Sample(number / 40, 30) for number in range(RAMP_S * 40)]


def steady(seconds: float, per_s: float = 40) -> list[Sample]:
    return [Sample(RAMP_S + 0.01 + n / per_s, 100) for n in range(round(seconds * per_s))]


def test_many_requests_have_their_thousands_apart(connection):
    """As in every table beside the sentence."""
    samples = [Sample(1.01 + n / 200, 30) for n in range(1800)]
    store_run(connection, samples, ramp_s=1, lasted_s=10)

    text = queries.find(connection, "latest").scope_text or ""

    assert " and 1,652 requests after ramp-up; " in text


@pytest.mark.parametrize("steady_s", [0, 0.5, 3])
def test_a_run_that_is_stopped_after_ramp_up_is_judged_as_a_whole(
    connection, runs_database, steady_s
):
    """`show`, `runs`, `check`, the document and the dashboards' functions, with the reason."""
    lasted_s = RAMP_S + steady_s
    run = store_run(connection, ramp_up() + steady(steady_s), ramp_s=RAMP_S, lasted_s=lasted_s)
    everything = 2000 + 40 * steady_s
    where = ("--database", runs_database)

    shown = swarmscope("show", *where, columns=120).stdout
    listed = json.loads(swarmscope("runs", "--json", *where).stdout)
    checked = swarmscope("check", "--p95", "450", *where, columns=120)
    made = assembly.assemble(connection, run)
    (of_list,) = connection.execute("SELECT requests_per_s FROM run_list()").fetchone()

    assert checked.exit_code == 0, checked.stdout
    assert "whole run pass" in " ".join(checked.stdout.split())
    assert listed[0]["requests"] == made.totals.requests == everything
    assert of_list == listed[0]["requests_per_s"] == made.totals.requests_per_s
    assert (made.scope, made.whole) == ("steady_too_short", True)
    assert "after ramp-up; 10 s and 59 requests are needed" in made.scope_text
    assert made.scope_text in shown
    assert made.scope_text in " ".join(checked.stdout.split())


@pytest.mark.parametrize(
    ("seconds", "per_s", "scope"),
    [(9, 40, "steady_too_short"), (11, 40, "after_ramp_up"), (30, 1, "steady_too_short")],
)
def test_enough_is_ten_seconds_and_as_many_requests_as_a_p95_needs(
    connection, seconds, per_s, scope
):
    """Either alone is too little."""
    samples = ramp_up() + steady(seconds, per_s)
    run = store_run(connection, samples, ramp_s=RAMP_S, lasted_s=RAMP_S + seconds + 0.5)

    found = {row.scope for row in queries.summary(connection, run)}

    assert found == {scope}
    asked = queries.summary(connection, run, whole=True)[0]
    assert (asked.scope, asked.scope_text) == ("whole", "Whole run")


def test_a_run_that_ramps_up_begins_at_its_start(connection, runs_database):
    """Its first window begins before it; nobody is told of a time before the start."""
    run = store_run(connection, ramp_up()[: 17 * 40], lasted_s=None)

    made = assembly.assemble(connection, run)
    shown = swarmscope("show", "--database", runs_database).stdout

    assert (made.since_s, made.scope) == (0.0, "ramp_up_incomplete")
    assert shown.endswith("Whole run: ramp-up was not complete (0:00 to 0:18).\n")


def test_the_least_requests_are_those_of_a_p95(connection):
    """One rule in SQL and Python: from so many on the slowest bounds the percentile."""
    (least,) = connection.execute("SELECT setting_of('steady_requests')").fetchone()
    assert least == sample_size.requests_for_quantile(0.95)

    for quantile, needed in ((0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)):
        query = "SELECT requests_needed(%s)"
        assert connection.execute(query, [quantile]).fetchone() == (needed,)
        assert sample_size.requests_for_quantile(quantile) == needed
        assert 1 - quantile**needed >= sample_size.CONFIDENCE > 1 - quantile ** (needed - 1)


def test_the_generators_figures_are_of_the_same_part(connection):
    """CPU and lag of a ramp-up that is all there is are not left out."""
    run = store_run(connection, ramp_up(), ramp_s=RAMP_S, lasted_s=RAMP_S)
    connection.execute(
        "INSERT INTO generator_health VALUES (%s, %s, 0.5, 0.01, 1)",
        [run, START + timedelta(seconds=20)],
    )

    query = "SELECT cpu_ratio FROM generator_summary(%s)"
    assert connection.execute(query, [run]).fetchall() == [(0.5,)]
