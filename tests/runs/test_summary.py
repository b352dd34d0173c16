"""A run's summary, against the very requests that made it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console
from support.exact_figures import close, exact, random_samples, second
from support.stored_runs import START, Sample, store_run

from swarmscope.cli.tables import summary_table
from swarmscope.runs import assembly, queries
from swarmscope.runs.histogram import bucket
from swarmscope.runs.schema.maintenance import compact
from swarmscope.runs.thresholds import FAILED, NOT_JUDGED, Threshold, judge


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_within_the_bound_of_exact_ones(connection, seed):
    """Of random requests, stored by three journals, every percentile is at most 2.5 % off."""
    samples = random_samples(seed, seconds=150, number=2_000)
    run = store_run(connection, samples, lasted_s=150)

    rows = queries.summary(connection, run, whole=True)

    for row in rows:
        inside = [s for s in samples if row.name in ("", s.name)]
        inside = [s for s in inside if row.request_type in ("", s.method)]
        values = [
            s.ms if row.part == "response" else s.parts[row.part]
            for s in inside
            if row.part == "response" or row.part in s.parts
        ]
        assert row.requests == len(values)
        assert row.mean_ms == pytest.approx(sum(values) / len(values))
        assert row.max_ms == max(values)
        for quantile, estimate in [
            (0.5, row.p50_ms),
            (0.9, row.p90_ms),
            (0.95, row.p95_ms),
            (0.99, row.p99_ms),
        ]:
            assert estimate == close(exact(quantile, values))
    assert len(rows) == 5 * 3  # four endpoints and all of them; total, queue and app


def test_the_summary_agrees_with_the_raw_rows(connection):
    """Counts, failures, mean and extreme are those of the rows, over the whole run."""
    run = store_run(connection, random_samples(7, seconds=100, number=3_000), lasted_s=100)

    summary = {
        (s.name, s.request_type): s
        for s in queries.summary(connection, run, whole=True)
        if s.part == "response"
    }
    raw = connection.execute(
        "SELECT coalesce(name, ''), coalesce(request_type, ''), count(*),"
        " count(*) FILTER (WHERE success = 0), avg(response_time), max(response_time),"
        " percentile_disc(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY response_time)"
        " FROM request WHERE run_id = %s GROUP BY GROUPING SETS ((name, request_type), ())",
        [run],
    ).fetchall()

    assert len(raw) == len(summary) == 5
    for name, method, count, failures, mean, longest, percentiles in raw:
        row = summary[name, method]
        assert (row.requests, row.failures, row.max_ms) == (count, failures, longest)
        assert row.fail_ratio == pytest.approx(failures / count)
        assert row.mean_ms == pytest.approx(mean)
        estimates = [row.p50_ms, row.p90_ms, row.p95_ms, row.p99_ms]
        assert estimates == [close(p) for p in percentiles]


@pytest.mark.parametrize("ramp_s", [3.0, 9.75, 61.2, 119.9])
def test_figures_are_since_ramp_complete_to_the_second(connection, ramp_s):
    """What finished before the ramp was complete is left out, wherever the windows' edges lie."""
    samples = random_samples(11, seconds=200, number=2_000)
    run = store_run(connection, samples, ramp_s=ramp_s, lasted_s=200)
    since = START + timedelta(seconds=ramp_s)
    steady = [s for s in samples if second(s) >= since]

    found = {s.part: s for s in queries.summary(connection, run) if s.name == ""}["response"]

    assert found.requests == len(steady)
    assert found.failures == sum(s.failed for s in steady)
    assert found.p95_ms == close(exact(0.95, [s.ms for s in steady]))
    assert found.until == START + timedelta(seconds=200)
    seconds = (found.until - found.since).total_seconds()
    assert found.requests_per_s == pytest.approx(len(steady) / seconds)
    assert 0 <= (found.since - since).total_seconds() < 1


def test_a_request_without_a_name_is_an_endpoint_like_another(connection):
    """FastHttpUser calls a request of the URL '' so: totals and curves count it once."""
    samples = [Sample(i, 5 + 15 * (i % 2), "" if i % 2 else "/tests") for i in range(20)]
    run = store_run(connection, samples, lasted_s=20)

    rows = queries.summary(connection, run, whole=True)
    requests = {(row.name, row.request_type): row.requests for row in rows}
    assert requests == {("", ""): 20, ("", "GET"): 10, ("/tests", "GET"): 10}
    assert queries.finished(connection, run) == 20
    for function, parts in (("latency", ", 'response'"), ("latency_parts", "")):
        asked = [run, START, START + timedelta(seconds=20)]
        query = f"SELECT name, request_type FROM {function}(%s, %s, %s, 60{parts})"
        assert connection.execute(query, asked).fetchall() == [("", "")]


def test_a_ramp_that_never_completed_leaves_the_whole_run(connection):
    """Without a ramp's end the figures are of the whole run."""
    run = store_run(connection, random_samples(3, seconds=30, number=200), ramp_s=None)

    rows = queries.summary(connection, run)
    assert {row.scope for row in rows} == {"ramp_up_incomplete"}
    asked = {"scope": "whole", "scope_text": "Whole run"}
    assert [replace(row, **asked) for row in rows] == queries.summary(connection, run, whole=True)


def test_late_batches_correct_every_figure(connection):
    """A worker that delivers after the end is in the summary, and in locust-plugins' columns."""
    run = store_run(connection, [Sample(i, 100) for i in range(10)], lasted_s=10)
    connection.execute("SELECT refresh_summary(%s)", [run])
    connection.execute(
        "INSERT INTO histogram_closed SELECT run_id, time, sum_ms * 3, 300, count, count,"
        " resolution, name, request_type, part, ARRAY[%s::smallint], counts FROM histogram",
        [bucket(300)],
    )
    connection.execute("SELECT close_run(%s, now())", [run])

    (row,) = (s for s in queries.summary(connection, run) if s.name == "")
    columns = connection.execute(
        "SELECT requests, resp_time_avg, rps_avg, fail_ratio, status FROM testrun"
    ).fetchone()

    assert (row.requests, row.failures, row.mean_ms, row.max_ms) == (20, 10, 200, 300)
    assert columns == (20, 200, 2, 0.5, "finished")


def test_close_run_ends_a_run_once(connection):
    """The first end of a run is its end; its summary columns follow in any case."""
    run = store_run(connection, [Sample(1, 10), Sample(2, 30, failed=True)], lasted_s=None)
    first, later = START + timedelta(seconds=5), START + timedelta(seconds=50)

    connection.execute("SELECT close_run(%s, %s, 'aborted')", [run, first])
    connection.execute("SELECT close_run(%s, %s)", [run, later])

    row = connection.execute(
        "SELECT end_time, status, requests, resp_time_avg, rps_avg, fail_ratio FROM testrun"
    ).fetchone()
    assert row == (first, "aborted", 2, 20, Decimal("0.4"), 0.5)  # over the 5 s that it lasted


def test_a_run_is_complete_when_every_worker_has_delivered(connection):
    """Running, or with a worker whose journal has not ended, a run is incomplete."""
    run = store_run(connection, [Sample(1, 5)], lasted_s=None)
    assert not queries.find(connection, "latest").complete

    connection.execute("SELECT close_run(%s, now())", [run])
    assert not queries.find(connection, "latest").complete

    connection.execute("UPDATE run_worker SET stopped = now(), outcome = 'stopped'")
    assert queries.find(connection, "latest").complete

    connection.execute(
        "INSERT INTO run_worker (run_id, worker, outcome) VALUES (%s, 'w', 'lost')", [run]
    )
    found = queries.find(connection, "latest")
    assert (found.complete, found.unfinished_workers, found.lost_workers) == (False, 1, 1)


def test_a_run_without_requests_is_listed(connection):
    """A run of which nothing has arrived yet has no figures, and is no error."""
    connection.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env) VALUES (%s, 'p', 1, '')", [START]
    )

    run = queries.find(connection, "latest")

    assert (run.requests, run.p95_ms, run.objective_met) == (None, None, None)
    assert queries.summary(connection, START) == []
    connection.execute("SELECT close_run(%s, now(), 'aborted')", [START])
    row = connection.execute("SELECT requests, status FROM testrun").fetchone()
    assert row == (None, "aborted")


def test_what_has_no_time_counts_and_has_no_latency(connection):
    """In every figure of a run: as a request and a failure, and never as a latency of zero."""
    timed = [Sample(i, 40, "/a") for i in range(70)]
    untimed = [Sample(i, None, "/b", failed=True, worker="worker-2") for i in range(70)]
    run = store_run(connection, [*timed, *untimed], lasted_s=70)
    found = {row.name: row for row in queries.summary(connection, run, whole=True)}
    assert {name: (row.requests, row.failures) for name, row in found.items()} == {
        "": (140, 70),
        "/a": (70, 0),
        "/b": (70, 70),
    }
    assert found[""].mean_ms == found["/a"].mean_ms == 40
    nothing = found["/b"]
    assert [nothing.mean_ms, nothing.p50_ms, nothing.p95_ms, nothing.p99_ms, nothing.max_ms] == [
        None
    ] * 5
    span = [run, START - timedelta(seconds=2), START + timedelta(seconds=80)]
    for width in (1, 10, 60):
        points = connection.execute(
            "SELECT sum(requests)::int, sum(failures)::int, max(mean_ms), max(max_ms)"
            f" FROM latency(%s, %s, %s, {width}, names => '{{/b}}')",
            span,
        ).fetchall()
        assert points == [(70, 70, None, None)]
    columns = "requests, fail_ratio, mean_ms, p95_ms, max_ms"
    rows = connection.execute(f"SELECT endpoint, {columns} FROM endpoints(%s, %s, %s)", span)
    assert rows.fetchall()[2] == ("GET /b", 70, 1, None, None, None)
    rows = connection.execute("SELECT requests, mean_ms, max_ms FROM by_worker(%s, %s, %s)", span)
    assert rows.fetchall() == [(70, 40, 40), (70, None, None)]
    assert compact(connection, run) > 0
    assert {row.name: row for row in queries.summary(connection, run, whole=True)} == found
    document = assembly.assemble(connection, run, whole=True)
    assert [endpoint.failures for endpoint in document.endpoints] == [0, 70]
    assert document.endpoints[1].response.p95_ms is None
    text = Console(width=120, file=io.StringIO())
    text.print(summary_table(found.values(), 120))
    assert re.search(r"GET /b +70 +100.0% +\S+ +– +– +– +– +– +–", text.file.getvalue())
    limits = [Threshold("fail-ratio", 0.4), Threshold("p95", 50, "GET /b")]
    outcomes = judge(limits, queries.summary(connection, run, whole=True), whole=True)
    assert [outcome.verdict for outcome in outcomes] == [FAILED, NOT_JUDGED]
    assert outcomes[1].reason == "no request has a response time"
