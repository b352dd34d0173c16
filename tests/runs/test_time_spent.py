"""Where the time went, in a sentence: the right route and part, or nothing if nothing is known."""

from __future__ import annotations

from typing import Any

import pytest

from swarmscope.runs.document import Endpoint, Latency
from swarmscope.runs.histogram import COMPONENTS
from swarmscope.runs.time_spent import NOTHING_STANDS_OUT, sentences


def latency(mean_ms: float | None, requests: int) -> Latency:
    figures = dict.fromkeys(("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"), mean_ms)
    return Latency(requests=requests, **figures)


def endpoint(name: str, response: float, requests: int = 1000, **known: Any) -> Endpoint:
    """An endpoint by its means; of a service that measures components unless it has a `service`."""
    parts = {name: ms for name, ms in known.items() if not name.endswith("_calls")}
    calls = {name: number for name, number in known.items() if name.endswith("_calls")}
    if "service" not in parts and parts:
        parts = dict.fromkeys(COMPONENTS, 0.0) | parts
        means = [ms for part in COMPONENTS if not isinstance(ms := parts[part], Latency)]
        parts["service"] = sum(means)
    latencies = {
        part: ms if isinstance(ms, Latency) else latency(ms, requests) for part, ms in parts.items()
    }
    return Endpoint(
        name=name, request_type="GET", requests=requests, failures=0, fail_ratio=0.0,
        requests_per_s=10.0, objective_met=None, response=latency(response, requests),
        **latencies, **calls,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"db": 74, "cpu": 5, "db_calls": 41.2}, "spent 74 of 81 ms in 41 database statements"),
        ({"db": 74, "db_calls": 1.0}, "spent 74 of 81 ms in 1 database statement"),
        ({"db": 74, "db_calls": 2.44}, "spent 74 of 81 ms in 2.4 database statements"),
        ({"db": 74}, "spent 74 of 81 ms in the database"),
        ({"pool": 46.4, "db": 2}, "waited 46 of 81 ms for a connection of the pool"),
        ({"cpu": 60.1, "db": 9}, "used the CPU for 60 of 81 ms"),
        ({"http": 70, "http_calls": 3}, "waited 70 of 81 ms for other services (3 calls)"),
        ({"cache": 70, "cache_calls": 1200}, "spent 70 of 81 ms in the cache (1,200 calls)"),
        (
            {"other": 45, "cpu": 20},
            "spent 45 of 81 ms on what is not measured (the GIL, a busy CPU, locks, files, sleeps)",
        ),
        ({"queue": 50, "db": 20}, "waited 50 of 81 ms in the queue"),
        ({"receiving": 50, "db": 20}, "spent 50 of 81 ms receiving responses"),
        (
            {"outside": 50, "db": 20},
            "spent 50 of 81 ms outside the service (network, load generator)",
        ),
        ({"db": 20, "uncorrected": 30}, "waited 51 of 81 ms to be sent"),
        (
            {"cpu": 25, "other": 30, "db": 2, "queue": 9},
            "spent 57 of 81 ms in service time (other 30 ms, CPU 25 ms)",
        ),
        (
            {"cpu": 20, "other": 30, "db": 20, "db_calls": 72.1},
            "spent 70 of 81 ms in service time"
            " (other 30 ms, CPU 20 ms, database 20 ms in 72 statements)",
        ),
        (
            {"service": 74, "queue": 2},
            "spent 74 of 81 ms in service time, whose components were not measured",
        ),
        ({"service": 20, "queue": 60}, "waited 60 of 81 ms in the queue"),
    ],
)
def test_the_part_that_took_most_is_named(known, words):
    """With both figures, and what was counted."""
    assert sentences([endpoint("/orders", 81.0, **known)]) == [f"GET /orders {words}."]


def test_an_innocent_endpoint_behind_a_small_pool_is_not_called_slow():
    """3 ms of its own, 46 in front of the pool; what holds the connections has another part."""
    innocent = endpoint("/items", 49.0, cpu=1.0, db=1.6, pool=46.2, db_calls=1)
    holder = endpoint("/report", 131.0, 500, cpu=4.0, db=85.0, pool=40.0, db_calls=1)

    assert sentences([innocent, holder]) == [
        "GET /items waited 46 of 49 ms for a connection of the pool.",
        "GET /report spent 85 of 131 ms in 1 database statement.",
    ]


def test_endpoints_with_the_same_part_share_a_sentence():
    """The one that lost most time first, two more with their figures, the rest counted."""
    found = sentences(
        [endpoint(f"/{n}", 50.0 + n, requests=1000 * n, pool=40.0 + n) for n in (1, 2, 3, 4, 5)]
    )

    assert found == [
        "GET /5 waited 45 of 55 ms for a connection of the pool;"
        " likewise GET /4 (44 of 54 ms), GET /3 (43 of 53 ms) and 2 more."
    ]


@pytest.mark.parametrize(
    "known",
    [
        {"queue": 1.1, "cpu": 0.3},  # 1.7 ms of response time
        {"queue": 9.9, "cpu": 0.3},
        {},
    ],
)
def test_small_times_get_no_sentence(known):
    """Most of a few milliseconds is noise."""
    found = sentences([endpoint("/items", sum(known.values()) + 0.3, **known)])

    assert found == [NOTHING_STANDS_OUT]
    assert NOTHING_STANDS_OUT == (
        "Nothing stands out: no part took 10 ms and half of an endpoint's mean response time."
    )


def test_a_part_below_half_of_the_response_time_is_not_to_blame():
    """40 ms of 100 may be twice as much as any other part."""
    shared = endpoint("/items", 100.0, queue=40.0, cpu=12.0, db=14.0, outside=14.0, receiving=15.0)

    assert sentences([shared]) == [NOTHING_STANDS_OUT]


@pytest.mark.parametrize(
    "one",
    [
        endpoint("/items", 81.0),  # nothing is known
        endpoint("/items", 81.0, requests=19, db=74.0),  # too few requests
        endpoint("/items", 81.0, db=latency(74.0, 899), cpu=latency(1.0, 899)),  # of 1,000
        endpoint("/items", 81.0, service=latency(74.0, 899)),
        endpoint("/items", 81.0, service=5.0, receiving=1.0),  # the rest may be its queue
    ],
)
def test_too_little_is_known_for_a_sentence(one):
    """Neither a culprit nor an all-clear."""
    assert sentences([one]) == []


def test_endpoints_that_took_little_of_all_time_do_not_matter():
    """20 logins of 80 ms beside 150 s of other requests."""
    login = endpoint("/login", 80.0, requests=20, cpu=79.0)

    assert sentences([endpoint("/items", 15.0, 10_000, cpu=5.0, queue=9.0), login]) == [
        NOTHING_STANDS_OUT
    ]
    assert sentences([endpoint("/items", 15.0, 100, cpu=5.0, queue=9.0), login]) == [
        "GET /login used the CPU for 79 of 80 ms."
    ]


def test_no_more_than_three_parts_are_named():
    """Those that took most time."""
    parts = {"pool": 90.0, "queue": 80.0, "db": 70.0, "cpu": 60.0}

    found = sentences([endpoint(f"/{part}", 100.0, **{part: ms}) for part, ms in parts.items()])

    assert [text.split()[1] for text in found] == ["/pool", "/queue", "/db"]
