"""A stored run in which everything happens that a page can show, hostile texts included."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Json

from support.profiles import DUMPS, PAY, RENDER, SORT, profile
from support.stored_runs import START, Sample, store_run
from swarmscope.runs import captures
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING, Frame, Profile
from swarmscope.runs.server_series import Capture

SECONDS = 90
RAMP_S = 30.4
STALL_S = range(60, 63)  # nothing finishes
SCRIPT = "<script>window.hacked = 1</script>"
ENDPOINT = f"/orders/</script>{SCRIPT}<img src=x onerror=window.hacked=2>"
ERROR = f"ConnectionError('&lt;\u2028\x1b[31m</script>{SCRIPT}')"
DESCRIPTION = f'{{{{script}}}} "><svg onload=window.hacked=3> {SCRIPT}'
TASK_ERROR = f"KeyError('{SCRIPT}') at shop.py:12"
HOSTILE_FRAME = Frame(SCRIPT, "shop/<b>.py", 7, True)
EVENT = f"<b>stage</b> 2 of 3 --> {SCRIPT} <!--"


def store_rich_run(
    connection: psycopg.Connection[Any],
    start: datetime = START,
    slower: float = 1.0,
    grafana_url: str = "http://localhost:3000/d/swarmscope-swarm",
) -> None:
    """Store a run of 90 s whose queue grows with its users, *slower* times as slow."""
    store_run(connection, list(_samples(slower)), start, RAMP_S, SECONDS, testplan="plans/rich.py")
    connection.execute(
        "UPDATE request SET exception = %s WHERE success = 0 AND run_id = %s", [ERROR, start]
    )
    connection.execute(
        "UPDATE testrun SET description = %s, host = 'http://127.0.0.1:5000', scenario = 'Visitor',"
        " username = '<i>me</i>', target_users = 40, peak_users = 40, arguments = '--users 40',"
        " grafana_url = %s, versions = %s WHERE id = %s",
        [DESCRIPTION, grafana_url, Json({"locust": "2.47.0", "python": "3.11"}), start],
    )
    for second in range(SECONDS):
        users = min(40, 1 + round(40 * second / RAMP_S))
        connection.execute(
            "INSERT INTO user_count (testplan, user_count, time, run_id) VALUES (%s, %s, %s, %s)",
            ["plans/rich.py", users, start + timedelta(seconds=second), start],
        )
    connection.execute(
        "INSERT INTO task_error VALUES (%(run)s, 'worker-1', %(error)s, 3),"
        " (%(run)s, 'worker-2', %(error)s, 4)",
        {"run": start, "error": TASK_ERROR},
    )
    _store_events(connection, start)
    store_levels(connection, start)
    _store_health(connection, start)
    _store_capture(connection, start)


def _samples(slower: float) -> list[Sample]:
    samples = []
    for number in range(SECONDS * 20):
        at_s = number / 20
        if int(at_s) in STALL_S:
            continue
        wave = 1 + 0.5 * math.sin(number / 7)
        queue = slower * wave * (2 if at_s < 40 else 900)
        app, outside = slower * (8 + number % 11), 1 + number % 3
        name, method = (ENDPOINT, "POST") if number % 5 == 0 else ("/tests", "GET")
        parts = {"queue": queue, "service": app, "outside": outside, **_divided(app, number)}
        total = queue + app + outside
        samples.append(Sample(at_s, total, name, method, number % 400 == 0, parts=parts))
    return samples


def _divided(service: float, number: int) -> dict[str, float]:
    """Return the components of a service time: of each third request a call, no connection pool."""
    called = {"http": service / 4, "http_calls": 1.0} if number % 3 == 0 else {}
    statements = 1.0 + number % 11
    cpu, db = service / 8, service / 2
    other = service - cpu - db - called.get("http", 0.0)
    return {"cpu": cpu, "db": db, "db_calls": statements, "other": other, **called}


def _store_events(connection: psycopg.Connection[Any], start: datetime) -> None:
    happened = [
        (0, "started", "rich.py started"),
        (RAMP_S, "ramp_up_complete", "40 users are there"),
    ]
    happened += [(50, "stage", EVENT), (SECONDS, "stopped", "rich.py stopped")]
    for at_s, kind, text in happened:
        connection.execute(
            "INSERT INTO events (time, text, run_id, kind) VALUES (%s, %s, %s, %s)",
            [start + timedelta(seconds=at_s), text, start, kind],
        )
    connection.execute(
        "INSERT INTO events (time, text, run_id, kind, details) VALUES (%s, %s, %s, 'trust', %s)",
        [
            start + timedelta(seconds=SECONDS),
            "Do not trust this run's latencies: requests came in bursts.",
            start,
            Json({"saturated": False, "bursty": True, "dispersion": 12.5}),
        ],
    )


def level(users: int, outcome: str, **more: object) -> dict[str, object]:
    """Return what a search keeps of a level, with *more* in place of some figures."""
    figures = {
        "users": users,
        "outcome": outcome,
        "measured_s": 8.0,
        "requests": 8 * users,
        "requests_per_s": float(users),
        "fail_ratio": 0.0,
        "p50_ms": 20.0,
        "p95_ms": 31.0,
        "p99_ms": 45.0,
        "service_p95_ms": 21.0,
        "queue_p95_ms": 9.5,
        "outside_p95_ms": None,
        "broken_endpoint": None,
        "endpoint_p95_ms": None,
        "saturated": False,
        "limited": False,
    }
    return {**figures, **more}


def store_levels(connection: psycopg.Connection[Any], start: datetime) -> None:
    """Store the levels of a search: one that held, and one that broke the limit of an endpoint."""
    broke = level(20, "broke", broken_endpoint=f"POST {ENDPOINT}", endpoint_p95_ms=812.0)
    for at_s, details in ((40, level(10, "held")), (60, broke)):
        connection.execute(
            "INSERT INTO events (time, text, run_id, kind, details)"
            " VALUES (%s, 'a level', %s, 'level', %s)",
            [start + timedelta(seconds=at_s), start, Json(details)],
        )


def _store_health(connection: psycopg.Connection[Any], start: datetime) -> None:
    for second in range(0, SECONDS, 3):
        connection.execute(
            "INSERT INTO generator_health VALUES (%s, %s, %s, %s, %s)",
            [start, start + timedelta(seconds=second), 0.3 + second / 300, second / 1e4, 12.5],
        )


def _store_capture(connection: psycopg.Connection[Any], start: datetime) -> None:
    axis = range(0, SECONDS, 2)
    captures.store(
        connection,
        start,
        Capture(
            start,
            2.0,
            {
                ("api", "worker_cpu_max_ratio"): [min(1.0, at / 60) for at in axis],
                ("api", "worker_cpu_mean_ratio"): [min(0.8, at / 80) for at in axis],
                ("api", "in_flight_requests"): [float(at % 7) for at in axis],
                ("api", "backlog_connections"): [None if at < 10 else float(at) for at in axis],
                ("api", "p95_ms"): [20.0 for at in axis],
                ("api", "requests_per_s"): [19.5 for at in axis],
            },
        ),
    )


def store_profiles(
    connection: psycopg.Connection[Any], start: datetime
) -> dict[tuple[str, int], Profile]:
    """Store profiles of both levels of `store_levels`, and of the time before; return the former.

    From the level that held to the one that broke, `RENDER` took more CPU, and `SORT` less.
    """
    slow, other = (PAY, RENDER, DUMPS), (PAY._replace(line=91), SORT)
    found = {
        (CPU, 1): profile(("/pay", 300_000, *slow), ("/pay", 400_000, *other), ("", 10_000, DUMPS)),
        (CPU, 2): profile(("/pay", 900_001, *slow), (ENDPOINT, 100_000, PAY, HOSTILE_FRAME)),
        (WAITING, 1): profile(("/pay", 50_000, PAY), kind=WAITING),
        (WAITING, 2): profile(("/pay", 60_000, PAY, RENDER), kind=WAITING),
    }
    for (kind, level), taken in found.items():
        since = start + timedelta(seconds=20 * level + (10 if kind == CPU else 15))
        until = since + timedelta(seconds=taken.seconds)
        storage.store(connection, start, "shop", since, until, taken, level)
    before = profile(("/pay", 5_000, PAY))
    storage.store(connection, start, "shop", start, start + timedelta(seconds=5), before)
    return found
