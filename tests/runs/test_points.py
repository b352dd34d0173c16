"""Figures over time, against the very requests that made them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from support.exact_figures import close, exact, random_samples, second
from support.stored_runs import START, Sample, store_run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_tiles_cover_any_span_exactly_once(connection):
    """For random spans: whole seconds inside, none twice, none missing, few coarse windows."""
    source = random.Random(5)
    for _ in range(300):
        since = EPOCH + timedelta(seconds=source.uniform(0, 400))
        until = since + timedelta(seconds=source.choice([0, 0.4, 5, 70, 500]) * source.random())
        tiles = connection.execute("SELECT * FROM tiles(%s, %s)", [since, until]).fetchall()
        covered = []
        for resolution, starts, ends in tiles:
            first, last = ((edge - EPOCH).total_seconds() for edge in (starts, ends))
            if last > first:
                assert first % resolution == last % resolution == 0
                covered += range(int(first), int(last))

        begin, end = ((edge - EPOCH).total_seconds() for edge in (since, until))
        assert sorted(covered) == list(range(math.ceil(begin), math.floor(end)))


WIDTHS = [  # asked for, given, made from windows of: seconds each
    (0.05, 1, 1),
    (1, 1, 1),
    (1.99, 2, 1),
    (2, 10, 10),
    (7.2, 10, 10),
    (15, 20, 10),
    (20, 60, 60),
    (90, 120, 60),
    (3600, 3600, 60),
]


def test_points_over_time_are_those_of_their_slot(connection):
    """At each width asked for, a point has the requests that finished within its slot."""
    samples = random_samples(13, seconds=300, number=2_000)
    run = store_run(connection, samples, lasted_s=300)
    for asked_s, slot_s, resolution_s in WIDTHS:
        found = connection.execute("SELECT slot_s(%s), resolution_for(%s)", [asked_s, asked_s])
        assert found.fetchone() == (slot_s, resolution_s)
        slots: dict[datetime, list[Sample]] = {}
        for s in samples:
            at = second(s).timestamp()
            slots.setdefault(datetime.fromtimestamp(at - at % slot_s, UTC), []).append(s)

        points = connection.execute(
            "SELECT time, requests, failures, mean_ms, p50_ms, p95_ms, max_ms, requests_per_s"
            " FROM latency(%s, %s, %s, %s) WHERE requests > 0",
            [run, START - timedelta(minutes=1), START + timedelta(hours=1), asked_s],
        ).fetchall()

        assert [point[0] for point in points] == sorted(slots)
        for at, *point in points:
            assert_point(point, slots[at], at, at + timedelta(seconds=slot_s))


def assert_point(point: list[float], inside: list[Sample], begins: datetime, ends: datetime):
    requests, failures, mean, p50, p95, longest, rate = point
    values = [s.ms for s in inside]
    seconds = min(ends, START + timedelta(seconds=300)) - max(begins, START)
    assert (requests, failures) == (len(inside), sum(s.failed for s in inside))
    assert (mean, longest) == (pytest.approx(sum(values) / len(values)), max(values))
    assert (p50, p95) == (close(exact(0.5, values)), close(exact(0.95, values)))
    assert rate == pytest.approx(len(inside) / max(1, seconds.total_seconds()))


def test_a_stall_is_seen(connection):
    """Seconds in which nothing finished are points with no requests and no latencies."""
    run = store_run(connection, [Sample(1, 5), Sample(1.2, 7), Sample(10, 9_000)], lasted_s=12)

    points = connection.execute(
        "SELECT requests, requests_per_s, p95_ms FROM latency(%s, %s, %s, 1)",
        [run, START, START + timedelta(hours=1)],
    ).fetchall()

    nothing = (0, 0, None)
    busy = [(requests, rate) for requests, rate, _ in points]
    assert busy == [(0, 0), (2, 2)] + [(0, 0)] * 8 + [(1, 1)] + [(0, 0)] * 2
    assert points[0] == points[2] == nothing


def test_endpoints_can_be_chosen(connection):
    """All together by default, those that are named, or each with None."""
    samples = [Sample(1, 10, "/a"), Sample(1, 20, "/b"), Sample(1, 30, "/b", "POST")]
    run = store_run(connection, samples)

    def endpoints(names: object) -> list[tuple[str, str, int]]:
        return connection.execute(
            "SELECT name, request_type, sum(requests)::int"
            " FROM latency(%s, %s, %s, 60, names => %s) GROUP BY 1, 2 ORDER BY 1, 2",
            [run, START, START + timedelta(seconds=60), names],
        ).fetchall()

    assert endpoints([""]) == [("", "", 3)]
    assert endpoints(["/b"]) == [("/b", "GET", 1), ("/b", "POST", 1)]
    assert endpoints(None) == [("", "", 3), ("/a", "GET", 1), ("/b", "GET", 1), ("/b", "POST", 1)]


def test_parts_are_means_and_say_how_many_requests_have_them(connection):
    """Means of the parts add up, over the requests that came with them."""
    parts = {"queue": 10.0, "service": 20.0, "outside": 5.0}
    run = store_run(connection, [Sample(1, 35, parts=parts), Sample(1.1, 99)])

    rows = connection.execute(
        "SELECT queue_ms, service_ms, outside_ms, covered FROM latency_parts(%s, %s, %s, 1)",
        [run, START, START + timedelta(seconds=60)],
    ).fetchall()

    assert rows == [(10, 20, 5, 0.5)]


def test_users_over_time(connection):
    """The most users of each point."""
    run = store_run(connection, [Sample(1, 5)])
    for at, users in [(0, 1), (2, 5), (4, 9), (6, 3)]:
        connection.execute(
            "INSERT INTO user_count VALUES ('classic.py', %s, %s, %s)",
            [users, START + timedelta(seconds=at), run],
        )

    rows = connection.execute(
        "SELECT time, users FROM users_over_time(%s, %s, %s, 4)",
        [run, START, START + timedelta(seconds=60)],
    ).fetchall()

    begin = START.replace(microsecond=0)
    assert rows == [(begin, 5), (begin + timedelta(seconds=4), 9)]
