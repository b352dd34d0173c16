"""The law of conservation: what Locust counts is what is stored, shown and judged."""

from __future__ import annotations

import math
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from locust.env import Environment

from swarmscope.client import clock
from swarmscope.client.frozen_options import Options
from swarmscope.client.locust_patches import count_every_request
from swarmscope.client.recording.listener import Listener
from swarmscope.journal.format import Header
from swarmscope.journal.records import RunStarted, RunStopped, run_id
from swarmscope.runs import assembly, queries
from swarmscope.runs.thresholds import Threshold, judge
from swarmscope.shipper.process import Shipper

NUMBERS = [0, 1, 5.0, 0.0, -3.0, 999.9, 1e9, 1e12, 1e300, math.nan, math.inf, -math.inf]
TIMES = st.sampled_from([*NUMBERS, None, "12", b"x", [], Decimal(7), True, 2**70])
LENGTHS = st.sampled_from([0, 17, None, -1, 2**70, "12", math.nan, 1.5])
NAMES = st.sampled_from(["/a", "/b", None, 7, ["/a"], "naïve \0"])
METHODS = st.sampled_from(["GET", "WS", "", None])
FAILURES = st.sampled_from([None, None, ValueError("bad"), "a text", "", 0, False, 1])
STARTS = st.sampled_from([None, "now", 0.0, -1.0, 5_000.5, 1e300, math.nan, math.inf, "noon", []])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"request_type": METHODS, "name": NAMES, "exception": FAILURES},
        optional={
            "response_time": TIMES,
            "response_length": LENGTHS,
            "start_time": STARTS,
            "start_delay_ms": st.sampled_from([None, None, 0.0, 3.0]),
        },
    ),
    max_size=12,
)
BOTH_NEEDED = {"response_time", "response_length"}  # without them Locust refuses the event


def play(directory: Path, database: str, events: list[dict[str, Any]]) -> tuple[str, Environment]:
    """Let Locust and our listener hear *events*, and deliver them; return the run and Locust."""
    count_every_request()
    environment = Environment()
    environment.create_local_runner()
    worker = uuid4().hex
    options = Options(
        plan="plan", grafana_url="", test_env="", test_version="", description="",
        iterations_per_second=0.0, connection={}, journal_directory=directory,
        journal_limit_bytes=1 << 30, drain_seconds=1.0,
    )  # fmt: skip
    listener = Listener(options, Header(worker, 0, 0, worker, "host", 17, True))
    environment.events.request.add_listener(listener.on_request)
    run = run_id(time.time())
    listener.begin(run, "plan", works=True)
    listener.record(
        RunStarted(
            run=run,
            testplan="plan",
            scenario="",
            profile=None,
            users=1,
            iterations_per_second=0.0,
            description="",
            environment="",
            version="",
            username="me",
            repository=None,
            arguments="",
            host=None,
            versions={},
        )
    )
    for event in events:
        started = {"start_time": time.time()} if event.get("start_time") == "now" else {}
        environment.events.request.fire(**{**event, **started})
    listener.finish()
    listener.record(RunStopped(run, "plan", clock.now()))
    listener.close()
    shipper = Shipper(directory, database)
    while shipper.round():
        pass
    shipper.disconnect()
    return run, environment


Counts = tuple[int, int]  # requests, failures


def of_locust(environment: Environment) -> dict[tuple[str, str], Counts]:
    """Return what Locust counted, by name and method as they are stored; '' for all together."""
    found: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    for (name, method), entry in environment.stats.entries.items():
        key = str(name).replace("\0", "\ufffd"), str(method)
        found[key] += entry.num_requests
        failed[key] += entry.num_failures
    total = environment.stats.total
    assert (found.total(), failed.total()) == (total.num_requests, total.num_failures)
    if found:
        found["", ""], failed["", ""] = total.num_requests, total.num_failures
    return {key: (number, failed[key]) for key, number in found.items()}


def stored(connection: Any, run: str) -> list[dict[tuple[str, str], Counts]]:
    """Return what the database counts: its rows, and its histograms of each resolution."""
    queries_of_counts = [
        "SELECT coalesce(name, ''), coalesce(request_type, ''), count(*),"
        " count(*) FILTER (WHERE success = 0) FROM request WHERE run_id = %s"
        " GROUP BY GROUPING SETS ((name, request_type), ()) HAVING count(*) > 0",
        *(
            "SELECT name, request_type, sum(count), sum(failures) FROM histogram"
            f" WHERE run_id = %s AND resolution = {resolution} AND part = 'response'"
            " GROUP BY name, request_type"
            for resolution in (1, 10, 60)
        ),
    ]
    return [
        {(name, method): (int(number), int(failed)) for name, method, number, failed in rows}
        for rows in (connection.execute(query, [run]).fetchall() for query in queries_of_counts)
    ]


def shown(connection: Any, run: str) -> list[dict[tuple[str, str], Counts]]:
    """Return what `show`, the page's document and the dashboard's table count."""
    found = queries.find(connection, run)
    summaries = [s for s in queries.summary(connection, found.run_id, True) if s.part == "response"]
    document = assembly.assemble(connection, found.run_id, whole=True)
    endpoints = [document.totals, *document.endpoints] if document.totals else []
    return [
        {(s.name, s.request_type): (s.requests, s.failures) for s in summaries},
        {(e.name, e.request_type): (e.requests, e.failures) for e in endpoints},
    ]


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes: examples are small
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(EVENTS)
def test_whatever_is_reported_is_counted_the_same_everywhere(tmp_path, runs_database, events):
    """Locust's totals and endpoints, the rows, the histograms, `show`, the page and the checks."""
    run, environment = play(tmp_path / uuid4().hex, runs_database, events)
    total = environment.stats.total
    expected = of_locust(environment)

    assert total.num_requests == sum(event.keys() >= BOTH_NEEDED for event in events)
    with psycopg.connect(runs_database, autocommit=True) as connection:
        for counts in [*stored(connection, run), *shown(connection, run)]:
            assert counts == expected
        (timed,) = connection.execute(
            "SELECT coalesce(sum((SELECT sum(c) FROM unnest(counts) c)), 0) FROM histogram"
            " WHERE run_id = %s AND resolution = 60 AND part = 'response' AND name = ''"
            " AND request_type = ''",
            [run],
        ).fetchone()
        found = queries.find(connection, run)
        rows = queries.summary(connection, found.run_id, whole=True)
        limits = [Threshold("fail-ratio", 1.0), Threshold("rps", 0)]
        judged = judge(limits, rows, whole=True)
    assert timed == total.num_requests - total.num_none_requests
    if expected:
        assert [outcome.value for outcome in judged] == [total.fail_ratio, found.requests_per_s]
        assert [outcome.requests for outcome in judged] == [total.num_requests] * 2
