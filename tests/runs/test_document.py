"""A run's document: what it says is what `swarmscope show` and the database's summary say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from support.databases import fresh_runs_database
from support.rich_run import store_levels
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import assembly, captures, document, queries, server_series
from swarmscope.runs.document import MAX_POINTS, Latency
from swarmscope.runs.histogram import CALLS, COMPONENTS
from swarmscope.runs.model import Summary
from swarmscope.runs.server_series import CallKey, Capture
from swarmscope.runs.services import Service
from swarmscope.stack.postgres import Cluster

PARTS = {"queue": 1.0, "service": 20.0, "outside": 2.0}


def samples(seconds: int, rate: int = 10) -> list[Sample]:
    """Requests of two endpoints, one of which fails now and then, some without their parts."""
    return [
        Sample(
            at_s=number / rate,
            ms=20 + number % 7,
            name="/tests" if number % 3 else "/missing",
            failed=number % 30 == 0,
            parts=PARTS if number % 2 else {},
        )
        for number in range(seconds * rate)
    ]


@pytest.fixture(scope="module")
def connection(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """Connect to one database for all of this file: most of it only reads."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def run(connection) -> datetime:
    """A run of a minute, its ramp complete after ten seconds, with users, events and failures."""
    started = store_run(connection, samples(60), ramp_s=9.75)
    connection.cursor().executemany(
        "INSERT INTO user_count (time, run_id, testplan, user_count) VALUES (%s, %s, 'x', %s)",
        [(started + timedelta(seconds=s), started, min(s, 10)) for s in range(60)],
    )
    connection.cursor().executemany(
        "INSERT INTO events (time, run_id, kind, text, details) VALUES (%s, %s, %s, %s, %s)",
        [
            (started, started, "started", "started", None),
            (started + timedelta(seconds=59), started, "trust", "It was.", '{"saturated": true}'),
            (started + timedelta(seconds=60), started, "verdict", "Many.", '{"users": 7}'),
        ],
    )
    connection.cursor().executemany(
        "INSERT INTO generator_health VALUES (%s, %s, %s, %s, %s)",
        [(started, started + timedelta(seconds=s), s / 60, 0.001, None) for s in range(0, 60, 3)],
    )
    return started


def latency(row: Summary) -> Latency:
    return Latency(
        requests=row.requests,
        mean_ms=row.mean_ms,
        p50_ms=row.p50_ms,
        p90_ms=row.p90_ms,
        p95_ms=row.p95_ms,
        p99_ms=row.p99_ms,
        max_ms=row.max_ms,
    )


@pytest.mark.parametrize("whole", [False, True])
def test_figures_are_those_of_the_summary(connection, run, whole):
    """Every endpoint and part, to the last digit, after ramp-up or of the whole run."""
    made = assembly.assemble(connection, run, whole)

    found = {
        (endpoint.name, endpoint.request_type, part): getattr(endpoint, part)
        for endpoint in [made.totals, *made.endpoints]
        for part in ("response", "service", "queue", "outside", "uncorrected")
        if getattr(endpoint, part) is not None
    }
    rows = queries.summary(connection, run, whole)
    assert found == {(r.name, r.request_type, r.part): latency(r) for r in rows}
    totals = {r.name: r for r in rows if r.part == "response"}
    counted = (made.totals.requests, made.totals.failures)
    assert counted == ((600, 20) if whole else (502, 16))
    for endpoint in [made.totals, *made.endpoints]:
        row = totals[endpoint.name]
        assert endpoint.failures == row.failures
        assert endpoint.fail_ratio == row.fail_ratio
        assert endpoint.requests_per_s == row.requests_per_s
    assert (made.since_s, made.until_s) == (0 if whole else 9.75, 60)


def test_curves_are_those_of_the_panels(connection, run):
    """Each point has the rates and percentiles of the database's own function, and its users."""
    points = assembly.assemble(connection, run).points

    rows = connection.execute(
        "SELECT time, requests_per_s, failures_per_s, p50_ms, p95_ms, p99_ms"
        " FROM latency(%s, %s, %s, 1)",
        [run, run, run + timedelta(minutes=2)],
    ).fetchall()
    assert points.width_s == 1
    assert points.t_s == [(row[0] - run).total_seconds() for row in rows]
    drawn = zip(
        points.requests_per_s,
        points.failures_per_s,
        points.response.p50_ms,
        points.response.p95_ms,
        points.response.p99_ms,
        strict=True,
    )
    for values, row in zip(drawn, rows, strict=True):
        assert [*values] == [v if v is None else pytest.approx(v, rel=1e-4) for v in row[1:]]
    assert points.users[1:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]
    assert set(points.covered[1:-1]) == {0.5}
    assert points.service.mean_ms[5] == 20
    assert points.uncorrected is None


def test_it_says_what_happened(connection, run):
    """Facts, completeness, verdict, trust, failures, events and the generator's health."""
    made = assembly.assemble(connection, run)

    assert made.run.id == "2026-03-01T12:00:00.250000Z"
    assert (made.run.testplan, made.run.status, made.run.duration_s) == (
        "classic.py",
        "finished",
        60,
    )
    assert made.completeness.complete
    assert (made.objective.limit_ms, made.objective.met) == (450, False)
    assert (made.verdict.text, made.verdict.details) == ("Many.", {"users": 7})
    assert (made.trust.trusted, made.trust.text) == (False, "It was.")
    assert [(e.kind, e.t_s) for e in made.events] == [
        ("started", 0),
        ("trust", 59),
        ("verdict", 60),
    ]
    (error,) = made.errors
    assert (error.name, error.failures) == ("/missing", 20)
    assert made.generator.t_s[:2] == [-0.25, 2.75]
    assert made.generator.cpu_ratio[10] == 0.5
    assert made.generator.loop_lag_ms[0] == 1
    assert made.generator.dispersion == [None] * 20
    assert (made.server, made.grafana_url) == (None, None)


def test_it_has_the_levels_of_a_search(connection):
    """In their order, each with the moment at which it was decided; none for other runs."""
    started = store_run(connection, samples(20), START - timedelta(hours=3))
    assert assembly.assemble(connection, started).levels == []
    store_levels(connection, started)

    held, broke = assembly.assemble(connection, started).levels

    assert (held.t_s, held.users, held.outcome, held.outside_p95_ms) == (40, 10, "held", None)
    assert (broke.t_s, broke.users, broke.endpoint_p95_ms) == (60, 20, 812.0)


def test_it_survives_json(connection, run):
    """What is written is read back as the same document; the same run makes the same bytes."""
    made = assembly.assemble(connection, run)

    assert document.decode(document.encode(made)) == made
    assert document.encode(assembly.assemble(connection, run)) == document.encode(made)


@pytest.mark.parametrize("seconds", [0, 1, 589, 591, 3600, 5899, 5901, 86_400, 30 * 86_400])
def test_points_are_bounded(connection, seconds):
    """A run of any length has 600 points at most, of windows as the database makes them."""
    width = assembly.width_s(seconds)

    assert seconds / width <= MAX_POINTS - assembly.SPARE_POINTS
    assert connection.execute("SELECT slot_s(%s)", [width]).fetchone() == (width,)


def test_a_run_that_has_just_begun(connection):
    """Nothing finished: no totals, no points, and no error."""
    connection.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env, grafana_url)"
        " VALUES (now(), 'x', 1, '', 'http://grafana.test/d/swarmscope-swarm?orgId=1')"
    )
    run = queries.find(connection, "latest")

    made = assembly.assemble(connection, run.run_id)

    assert (made.totals, made.endpoints, made.points.t_s, made.since_s) == (None, [], [], None)
    assert made.grafana_url.startswith(
        f"http://grafana.test/d/swarmscope-swarm?orgId=1&var-run={run.run[:13]}"
    )
    assert made.grafana_url.endswith("&to=now")


def test_an_older_document_has_no_components(connection, run):
    """One without their keys is read; they are unknown."""
    content = msgspec.to_builtins(assembly.assemble(connection, run))
    newer = {*COMPONENTS, *CALLS, "slowest"}
    for place in (content, content["totals"], content["points"], *content["endpoints"]):
        for name in newer & place.keys():
            del place[name]
    found = document.decode(msgspec.json.encode(content))

    assert (found.totals.db, found.points.db, found.slowest) == (None, None, [])
    assert found.totals.service == assembly.assemble(connection, run).totals.service


def test_no_such_run(connection):
    """It is said in a line."""
    with pytest.raises(queries.NoSuchRun):
        assembly.assemble(connection, START - timedelta(days=1))


def test_stored_series_go_before_prometheus(connection, run):
    """What was captured when the run was over is what a document has, whoever is asked later."""
    series = {("api", "in_flight_requests"): [1.0, None, 3.0], ("api", "p95_ms"): [None, 2.0, 2.0]}
    series["api", "requests_per_s"] = [1.0, 1.0, 1.0]
    calls = {CallKey("api", "127.0.0.1:5001", "mean_ms"): [None, 7.0, 8.0]}
    places = {"127.0.0.1:5001": "pricing"}
    services = Service("api", "target"), Service("pricing", "called")
    capture = Capture(run, 20.0, series, services, calls, places)

    asked = assembly.assemble(connection, run, services=lambda *_: capture)
    assert captures.store(connection, run, capture)
    assert not captures.store(connection, run, Capture(run, 2.0, {}))
    kept = assembly.assemble(connection, run, services=None)

    assert kept == asked
    assert kept.server.t_s == [0, 20, 40]
    assert {(s.job, s.name): s.values for s in kept.server.series} == series
    assert [(s.name, s.role) for s in kept.services] == [("api", "target")]
    (call,) = kept.server.calls
    assert (call.job, call.host, call.service, call.values) == (
        *("api", "127.0.0.1:5001", "pricing"), [None, 7.0, 8.0],
    )  # fmt: skip


def test_runs_that_want_their_series(connection, run):
    """Those that are over, not long ago, and have none."""
    now = datetime.now(UTC)
    over = store_run(connection, samples(1), start=now - timedelta(hours=1), lasted_s=1)
    still_on = store_run(connection, samples(1), start=now - timedelta(minutes=1), lasted_s=None)

    waiting = captures.uncaptured(connection)
    assert (over, over + timedelta(seconds=1)) in [(w.run_id, w.ended) for w in waiting]
    assert {run, still_on}.isdisjoint(w.run_id for w in waiting)
    captures.store(connection, over, Capture(over, 2.0, {}))
    assert over not in [w.run_id for w in captures.uncaptured(connection)]
    assert assembly.assemble(connection, over).server is None


def test_the_example_in_the_docs_runs(connection, run, root):
    """Its Python reads what `show --json` prints."""
    text = (root / "docs/run-document.md").read_text()
    program = re.search(r"```python\n(.*?)```", text, re.S)[1]

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=document.encode(assembly.assemble(connection, run)),
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"GET /missing: 26 ms\n"


def test_the_docs_name_every_field(connection, run, root):
    """The table has a row for each field of the document, and the text each series."""
    text = (root / "docs/run-document.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.M)

    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert named | {"version"} == set(msgspec.to_builtins(assembly.assemble(connection, run)))
    assert all(f"`{name}`" in text for name in server_series.RATES | server_series.GAUGES)


def test_known_runs_are_not_asked_for(connection, run):
    """A list has them in their places all the same."""
    listed = queries.runs(connection, 3)
    known = {one.run_id: replace(one, testplan="known") for one in listed[1:]}

    assert queries.runs_but(connection, 3, {}) == listed
    assert queries.runs_but(connection, 3, known) == [listed[0], *known.values()]
    assert queries.runs_but(connection, 1, known) == listed[:1]


def test_live_curves_do_not_fall_at_the_right_edge(connection):
    """A steady 10/s that is on: the second that still fills is no point, nor is one without it."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
    steady = [Sample(0.05 + number / 10, 20) for number in range(300)]
    run = store_run(connection, steady, start=start, lasted_s=None)
    for second in range(35):
        connection.execute(
            "INSERT INTO user_count (testplan, user_count, time, run_id) VALUES ('', 5, %s, %s)",
            [start + timedelta(seconds=second), run],
        )

    points = assembly.assemble(connection, run).points

    assert len(points.t_s) > 20
    assert points.requests_per_s == [10.0] * len(points.t_s)
    assert points.users == [5] * len(points.t_s)


def test_a_document_of_another_version_is_refused(connection):
    """Its fields had other names: the error says so, and not only which one is missing first."""
    run = store_run(connection, [Sample(1, 5)], start=START + timedelta(days=77))
    made = document.encode(assembly.assemble(connection, run))
    older = made.replace(b'"version":2', b'"version":1')

    assert document.decode(made).version == document.VERSION
    with pytest.raises(msgspec.ValidationError, match="a run document of version 1, not 2"):
        document.decode(older)
