"""What the database says of one run's requests, held against the very requests that made it."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import datetime, timedelta

import psycopg
import pytest
from support.databases import database_of_roles
from support.stored_runs import START, Sample, store_run

from swarmscope.runs.histogram import RELATIVE_ERROR

GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
WHOLE = (START - timedelta(hours=1), START + timedelta(hours=1))
INSIDE = (START + timedelta(seconds=31.5), START + timedelta(seconds=97.2))
ALL = "All endpoints"
ENDPOINTS = (ALL, "GET /tests", "POST /tests", 'GET it\'s \\ "odd"')


def _samples() -> list[Sample]:
    """Return requests of three endpoints and three workers; a few take half a minute."""
    source = random.Random(6)
    samples = []
    for number in range(4_000):
        name = source.choice(["/tests", "/tests", 'it\'s \\ "odd"'])
        ms = 30_000 + 1e-3 * number if number % 450 == 0 else source.lognormvariate(3, 1.2)
        samples.append(
            Sample(
                at_s=source.uniform(0, 150),
                ms=ms,
                name=name,
                method=source.choice(["GET", "POST"]) if name == "/tests" else "GET",
                failed=source.random() < 0.1,
                worker=f"worker-{source.randrange(3)}",
                parts={"queue": ms * 0.5, "service": ms * 0.25, "outside": ms * 0.25},
            )
        )
    return samples


@pytest.fixture(scope="module")
def stored(cluster):
    """Store one run; yields a connection, the run's id, and its samples."""
    samples = _samples()
    with (
        database_of_roles(cluster) as database,
        psycopg.connect(database.owner, autocommit=True) as connection,
    ):
        yield connection, store_run(connection, samples, lasted_s=150), samples


def _second(sample: Sample) -> datetime:
    return (START + timedelta(seconds=sample.at_s)).replace(microsecond=0)


def _inside(samples, since, until, endpoint=ALL):
    """Return the requests that finished in a second that is within the range as a whole."""
    last = until - timedelta(seconds=1)
    return [
        s
        for s in samples
        if since <= _second(s) <= last and endpoint in (ALL, f"{s.method} {s.name}")
    ]


def _lasted_s(since, until):
    """Return how long the run was on within the whole seconds of the range."""
    begins = (since + timedelta(microseconds=999_999)).replace(microsecond=0)
    ends = min(START + timedelta(seconds=150), until.replace(microsecond=0))
    return (ends - max(START, begins)).total_seconds()


def _close(value):
    return pytest.approx(value, rel=RELATIVE_ERROR + 1e-9)


def test_endpoints_are_offered_all_together_first(stored):
    connection, run, _ = stored

    offered = connection.execute("SELECT endpoint FROM endpoints_of(%s)", [run]).fetchall()

    assert offered[0] == (ALL,)
    assert {endpoint for (endpoint,) in offered} == set(ENDPOINTS)
    assert len(offered) == len(ENDPOINTS)


@pytest.mark.parametrize("span", [WHOLE, INSIDE], ids=["whole", "inside"])
def test_figures_of_an_endpoint_are_those_of_its_requests(stored, span):
    """Each endpoint, and all together, to the second: counts, rate, percentiles of each part."""
    connection, run, samples = stored

    rows = connection.execute("SELECT * FROM endpoints(%s, %s, %s)", [run, *span]).fetchall()

    assert {row[0] for row in rows} == set(ENDPOINTS)
    lasted_s = _lasted_s(*span)
    for endpoint, requests, rate, failed, mean, *figures, _ in rows:
        *percentiles, longest, app, queue, outside = figures
        its_own = _inside(samples, *span, endpoint)
        values = sorted(s.ms for s in its_own)
        exact = [values[math.ceil(q * len(values)) - 1] for q in (0.5, 0.95, 0.99)]
        assert requests == len(values)
        assert rate == pytest.approx(len(values) / lasted_s)
        assert failed == pytest.approx(sum(s.failed for s in its_own) / len(values))
        assert (mean, longest) == (pytest.approx(sum(values) / len(values)), values[-1])
        assert percentiles == [_close(value) for value in exact]
        assert [app, queue, outside] == [_close(exact[1] * part) for part in (0.25, 0.5, 0.25)]


def test_an_endpoint_meets_the_objective_by_itself(stored):
    """Whether the objective holds is said of each endpoint, by the settings."""
    connection, run, _ = stored
    query = "SELECT objective FROM endpoints(%s, %s, %s)"

    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE setting SET value = 1e9 WHERE name = 'objective_ms'")
        too_many_failed = connection.execute(query, [run, *WHOLE]).fetchall()
        connection.execute("UPDATE setting SET value = 1 WHERE name = 'objective_fail_ratio'")
        lenient = connection.execute(query, [run, *WHOLE]).fetchall()

    assert set(too_many_failed) == {("missed",)}
    assert set(lenient) == {("met",)}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(("width_s", "slot_s"), [(1, 1), (7, 10), (60, 60)])
def test_the_heatmap_counts_each_request_once(stored, endpoint, width_s, slot_s):
    """A cell has the requests that finished in its slot and took as long as its band says.

    Every band is in every slot, so that neither axis has holes.
    """
    connection, run, samples = stored
    expected = Counter()
    for s in _inside(samples, *WHOLE, endpoint):
        band = math.ceil(math.ceil(math.log(s.ms, GAMMA)) / 4)
        expected[_second(s).timestamp() // slot_s * slot_s + slot_s, band] += 1

    cells = connection.execute(
        "SELECT time, up_to_ms, requests FROM latency_heatmap(%s, %s, %s, %s, %s)",
        [run, *WHOLE, width_s, endpoint],
    ).fetchall()

    found = {
        (time.timestamp(), round(math.log(up_to_ms, GAMMA) / 4)): requests
        for time, up_to_ms, requests in cells
    }
    assert {cell: count for cell, count in found.items() if count} == expected
    slots, bands = {slot for slot, _ in found}, {band for _, band in found}
    assert len(found) == len(cells) == len(slots) * len(bands)
    assert bands == set(range(min(bands), max(bands) + 1))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("span", [WHOLE, INSIDE], ids=["whole", "inside"])
@pytest.mark.parametrize("most", [1, 25, 400])
def test_the_slowest_requests_are_found(stored, endpoint, span, most):
    """Through the windows of the histogram come just those that reading all rows would find."""
    connection, run, samples = stored
    expected = sorted((s.ms for s in _inside(samples, *span, endpoint)), reverse=True)[:most]

    rows = connection.execute(
        "SELECT * FROM slowest(%s, %s, %s, %s, %s)", [run, *span, endpoint, most]
    ).fetchall()

    assert [row[2] for row in rows] == expected
    assert all(endpoint in (ALL, row[1]) for row in rows)


def test_a_slow_request_says_where_its_time_went(stored):
    connection, run, samples = stored
    slowest = max(samples, key=lambda s: s.ms)

    row = connection.execute("SELECT * FROM slowest(%s, %s, %s)", [run, *WHOLE]).fetchone()

    started, endpoint, *times, error, worker, trace = row[:11]
    assert started == START + timedelta(seconds=slowest.at_s, milliseconds=-slowest.ms)
    assert endpoint == f"{slowest.method} {slowest.name}"
    ms = slowest.ms
    assert times == [ms, 0, ms * 0.5, ms * 0.25, None, pytest.approx(ms * 0.25)]
    assert (error, worker, trace) == ("it failed" * slowest.failed, slowest.worker, "")


def test_the_slowest_requests_cost_no_more_than_their_windows(stored):
    """Raw rows are read by ranges of time around the slowest ones, never the whole run."""
    connection, run, samples = stored
    connection.execute("ANALYZE request")

    with connection.transaction(force_rollback=True):
        before = _rows_read(connection)
        connection.execute("SELECT * FROM slowest(%s, %s, %s, most => 5)", [run, *WHOLE])
        read = _rows_read(connection) - before

    assert 5 <= read < len(samples) / 4


def _rows_read(connection):
    return connection.execute(
        "SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)"
        " + pg_stat_get_xact_tuples_fetched(oid)), 0)::int FROM pg_class"
        " WHERE oid = 'request'::regclass OR oid IN"
        " (SELECT indexrelid FROM pg_index WHERE indrelid = 'request'::regclass)"
    ).fetchone()[0]


def test_workers_share_what_was_sent(stored):
    """Of each worker, what its own journal brought; shares add up to all."""
    connection, run, samples = stored

    rows = connection.execute(
        "SELECT worker, requests, share, fail_ratio, mean_ms, max_ms FROM by_worker(%s, %s, %s)",
        [run, *INSIDE],
    ).fetchall()

    inside = _inside(samples, *INSIDE)
    assert [row[0] for row in rows] == ["worker-0", "worker-1", "worker-2"]
    for worker, requests, share, failed, mean, longest in rows:
        its_own = [s for s in inside if s.worker == worker]
        assert requests == len(its_own)
        assert share == pytest.approx(len(its_own) / len(inside))
        assert failed == pytest.approx(sum(s.failed for s in its_own) / len(its_own))
        assert mean == pytest.approx(sum(s.ms for s in its_own) / len(its_own))
        assert longest == max(s.ms for s in its_own)
    assert sum(row[2] for row in rows) == pytest.approx(1)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM endpoints({}, {}, {})",
        "SELECT * FROM latency_heatmap({}, {}, {}, 1)",
        "SELECT * FROM slowest({}, {}, {})",
        "SELECT * FROM by_worker({}, {}, {})",
    ],
)
def test_nothing_is_made_up(stored, query):
    """Without a run, and where nothing finished, there are no rows."""
    connection, run, _ = stored
    query = query.format("%s", "%s", "%s")

    assert connection.execute(query, [None, *WHOLE]).fetchall() == []
    later = (START + timedelta(days=1), START + timedelta(days=2))
    assert connection.execute(query, [run, *later]).fetchall() == []
