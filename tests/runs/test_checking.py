"""`swarmscope check` as people and CI jobs type it, against a real database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from xml.etree import ElementTree

import psycopg
import pytest
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

PARTS = {"queue": 1.0, "app": 12.0, "outside": 2.0}
RUN = "2026-03-01T12:00:00.250000Z"


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """A run of 40 s: slow in its ramp of 10 s, then 20 ms; every tenth POST fails."""
    fast = [Sample(10.75 + i / 50, 20, parts=PARTS) for i in range(1450)]
    posts = [Sample(11 + 0.48 * i, 40, method="POST", failed=i % 10 == 0) for i in range(60)]
    ramp = [Sample(i / 10, 900) for i in range(100)]
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name) as connection:
            store_run(connection, ramp + fast + posts, ramp_s=10.5)
        yield name


def squeezed(line: str) -> str:
    return " ".join(line.split())


def check(database: str, *arguments: str, **environment: str):
    return swarmscope("check", *arguments, "--database", database, **environment)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--p95", "25"], 0),
        (["latest", "--p95", "GET /tests=25", "--server-p95", "13", "--queue-p95", "1.1"], 0),
        ([RUN, "--p95", "25", "--p95", "POST /tests=30"], 3),
        (["--p95", "25", "--whole"], 3),
        (["--rps", "60"], 3),
        (["--rps", "45", "--fail-ratio", "1%", "--avg-response-time", "21.5"], 0),
        (["--fail-ratio", "POST /tests=9%"], 3),
        (["--p95", "GET /x=1"], 4),
        (["--server-p95", "POST /tests=30"], 4),
        (["--capacity-users", "3"], 4),
        (["--p95", "GET /x=1", "--p99", "1"], 3),
        (["2025", "--p95", "25"], 2),
        (["--p95", "soon"], 2),
        (["--p95", "25", "--junit", "/dev/null/report.xml"], 1),
        ([], 0),
        (["--whole"], 3),
    ],
)
def test_the_exit_status_says_it(database, arguments, status):
    """0 held, 3 not held, 4 cannot be told, 2 no such run or nonsense; since ramp complete."""
    assert check(database, *arguments).exit_code == status


def test_the_table_and_the_files_say_the_same(database, tmp_path):
    """Values are those of `show`; JSON has all their digits."""
    report, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    asked = ["--p50", "30", "--p95", "POST /tests=30", "--p99", "GET /x=5", "--junit", str(report)]
    done = check(database, *asked, GITHUB_STEP_SUMMARY=str(summary))
    printed = json.loads(check(database, *asked, "--json").stdout)
    shown = json.loads(swarmscope("show", "--json", "--database", database).stdout)

    lines = done.stdout.splitlines()
    assert squeezed(lines[1]) == "p50 ≤ 30 ms 19.6 ms 1,510 after ramp-up pass"
    assert squeezed(lines[2]) == "p95 of POST /tests ≤ 30 ms 39.5 ms 60 after ramp-up FAIL"
    assert lines[4:] == ["Not judged: no requests of 'GET /x'; there are GET /tests, POST /tests."]
    assert ElementTree.parse(report).getroot().get("tests") == "3"
    assert "| FAIL |" in summary.read_text()
    assert (printed["run"], printed["complete"], printed["status"]) == (RUN, True, 3)
    values = [outcome["value"] for outcome in printed["outcomes"]]
    post = next(e for e in shown["endpoints"] if e["request_type"] == "POST")
    assert values == [shown["totals"]["total"]["p50_ms"], post["total"]["p95_ms"], None]


def test_a_run_that_is_not_complete_is_waited_for(connection, empty_database):
    """Not judged while a worker's journal is missing; judged when it comes in time."""
    store_run(connection, [Sample(i / 10, 20) for i in range(100)])
    connection.execute(
        "INSERT INTO events (time, run_id, kind, text, details)"
        " VALUES (now(), %s, 'trust', 'Do not believe it.', '{\"saturated\": true}')",
        [START],
    )
    connection.execute("UPDATE run_worker SET stopped = NULL, outcome = NULL, dropped = 7")
    early = check(empty_database, "--p95", "25")

    def deliver() -> None:
        with psycopg.connect(empty_database, autocommit=True) as shipper:
            shipper.execute("UPDATE run_worker SET stopped = now(), outcome = 'stopped'")

    shipping = threading.Timer(0.7, deliver)
    shipping.start()
    late = check(empty_database, "--p95", "25", "--wait", "20")
    shipping.join()

    assert early.exit_code == 4
    assert "not judged" in early.stdout
    assert "1 of 1 workers are not delivered" in early.stdout
    assert late.exit_code == 0
    assert "Mind: 7 samples were dropped.\nMind: Do not believe it.\n" in late.stdout


def test_a_run_that_is_on_is_not_judged(connection, empty_database):
    """Nor is an empty one."""
    store_run(connection, [Sample(i / 10, 20) for i in range(60)], lasted_s=None)
    running = check(empty_database, "--p95", "25")
    connection.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env, status, end_time)"
        " VALUES (%s, 'empty', 1, '', 'finished', now())",
        [START + timedelta(days=1)],
    )
    empty = check(empty_database, "--p95", "25")

    assert (running.exit_code, "the run is not over" in running.stdout) == (4, True)
    assert (empty.exit_code, "there are no requests" in empty.stdout) == (4, True)


def test_a_database_that_is_away_cannot_tell():
    """Status 4 and one line, no table."""
    done = check("host=127.0.0.1 port=1", "--p95", "25")

    assert (done.exit_code, done.stdout) == (4, "")
    assert "the runs database cannot be reached" in done.stderr
    assert done.stderr.count("\n") == 1
