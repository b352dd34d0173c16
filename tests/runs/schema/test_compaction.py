"""Joining the workers' rows of a finished run changes what reading costs, and nothing else."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import queries
from swarmscope.runs.model import Summary
from swarmscope.runs.schema.maintenance import compact, compact_running, compactable

MANY_ROWS = (
    "SELECT count(*) FROM (SELECT 1 FROM histogram_closed WHERE resolution > 1"
    " GROUP BY resolution, time, name, request_type, part HAVING count(*) > 1) _"
)


def _samples(seconds: float) -> list[Sample]:
    source = random.Random(17)
    return [
        Sample(source.uniform(0, seconds), source.lognormvariate(3, 1), worker=f"w{i % 4}")
        for i in range(2_000)
    ]


def _same(new: list[Summary], old: list[Summary]) -> None:
    for one, other in zip(new, old, strict=True):
        assert (one.requests, one.failures) == (other.requests, other.failures)
        assert one.mean_ms == pytest.approx(other.mean_ms)
        assert (one.p50_ms, one.p99_ms, one.max_ms) == (other.p50_ms, other.p99_ms, other.max_ms)


def test_every_figure_stays(connection):
    """Each window of a finished run has one row afterwards, and the summary is what it was."""
    run = store_run(connection, _samples(1_500), ramp_s=70, lasted_s=1_500)
    before = queries.summary(connection, run)
    assert connection.execute(MANY_ROWS).fetchone() > (0,)

    assert compact(connection, run) > 0

    _same(queries.summary(connection, run), before)
    assert connection.execute(MANY_ROWS).fetchone() == (0,)
    assert compact(connection, run) == 0


def test_late_rows_are_joined_the_next_time(connection):
    """What arrives after a compaction is in every figure at once, and in its row later."""
    run = store_run(connection, _samples(130))
    compact(connection, run)
    connection.execute(
        "INSERT INTO histogram_closed SELECT run_id, time, sum_ms, max_ms, count, count,"
        " resolution, name, request_type, part, buckets, counts FROM histogram_closed"
        " WHERE resolution > 1"
    )
    before = queries.summary(connection, run, whole=True)

    assert compact(connection, run) > 0

    _same(queries.summary(connection, run, whole=True), before)


def test_a_run_of_which_more_may_come_is_left_alone(connection):
    """Running, or with a worker that has not delivered its end, rows keep their journals."""
    run = store_run(connection, _samples(130), lasted_s=None)
    assert compact(connection, run) == 0

    connection.execute("SELECT close_run(%s, %s)", [run, START + timedelta(seconds=30)])
    assert compact(connection, run) == 0

    connection.execute("UPDATE run_worker SET stopped = now(), outcome = 'stopped'")
    assert compact(connection, run) > 0


def test_minutes_of_a_running_run_are_joined_while_it_runs(connection):
    """All of its figures stay, and its windows of 10 s keep their journals."""
    run = store_run(connection, _samples(1_500), ramp_s=70, lasted_s=None)
    before = queries.summary(connection, run)
    coarse = MANY_ROWS.replace("resolution > 1", "resolution = 60")

    until = compact_running(connection, datetime.min.replace(tzinfo=UTC))

    _same(queries.summary(connection, run), before)
    assert connection.execute(coarse).fetchone() == (0,)
    assert connection.execute(MANY_ROWS).fetchone() > (0,)
    assert timedelta(0) < datetime.now(UTC) - until < timedelta(minutes=3)

    connection.execute(
        "INSERT INTO histogram_closed SELECT * FROM histogram_closed WHERE resolution = 60"
    )
    compact_running(connection, until)
    assert connection.execute(coarse).fetchone() > (0,)  # of before *until*: the run's end joins it


def test_several_at_once_lose_and_double_nothing(connection, runs_database):
    """Four compactions of one run at the same time leave every request counted once."""
    run = store_run(connection, _samples(300), lasted_s=300)
    before = queries.summary(connection, run)

    def work() -> None:
        with psycopg.connect(runs_database, autocommit=True) as mine:
            compact(mine, run)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    _same(queries.summary(connection, run), before)
    assert connection.execute(MANY_ROWS).fetchone() == (0,)


def test_only_windows_that_exist_are_walked(connection):
    """One request that a wrong clock put fifty years off costs one span, not the years between."""
    off_s = -50 * 365 * 86_400.0
    run = store_run(connection, [Sample(off_s, 5, worker="w0"), *_samples(250)])

    assert len(compactable(connection, run)) == 3  # one of 1976, minutes 0 and 1, 2 and 3
    assert compact(connection, run) > 0
    assert connection.execute(MANY_ROWS).fetchone() == (0,)
