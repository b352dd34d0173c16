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
from support.full_run import full_capture
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import captures
from swarmscope.runs.selection import MORE_NAMES

PARTS = {"queue": 1.0, "service": 12.0, "outside": 2.0}
PARTS |= {"cpu": 2.0, "db": 9.0, "db_calls": 41.0, "other": 1.0}
RUN = "2026-03-01T12:00:00.250000Z"


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """A run of 40 s: slow in its ramp of 10 s, then 20 ms; every tenth POST fails."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name) as connection:
            store_run(connection, requests(), ramp_s=10.5, lasted_s=40)
        yield name


def requests() -> list[Sample]:
    fast = [Sample(10.75 + i / 50, 20, parts=PARTS) for i in range(1450)]
    posts = [Sample(11 + 0.48 * i, 40, method="POST", failed=i % 10 == 0) for i in range(60)]
    return [*(Sample(i / 10, 900) for i in range(100)), *fast, *posts]


def squeezed(line: str) -> str:
    return " ".join(line.split())


def check(database: str, *arguments: str, **environment: str):
    return swarmscope("check", *arguments, "--database", database, **environment)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--p95", "25"], 0),
        (["latest", "--p95", "GET /tests=25", "--service-p95", "13", "--queue-p95", "1.1"], 0),
        ([RUN, "--p95", "25", "--p95", "POST /tests=30"], 3),
        (["--p95", "25", "--whole"], 3),
        (["--rps", "60"], 3),
        (["--rps", "45", "--fail-ratio", "1%", "--avg-response-time", "21.5"], 0),
        (["--fail-ratio", "POST /tests=9%"], 3),
        (["--p95", "GET /x=1"], 4),
        (["--service-p95", "POST /tests=30"], 4),
        (["--db-p95", "GET /tests=10", "--cpu-p95", "2.1", "--db-calls", "GET /tests=41"], 0),
        (["--db-calls", "GET /tests=5"], 3),
        (["--db-p95", "8"], 3),
        (["--cache-p95", "POST /tests=5"], 4),
        (["--db-calls", "POST /tests=5"], 4),
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
    assert lines[4] == "Not judged: no requests of 'GET /x'; there are GET /tests, POST /tests."
    assert ElementTree.parse(report).getroot().get("tests") == "3"
    assert "| FAIL |" in summary.read_text()
    assert (printed["run"], printed["complete"], printed["status"]) == (RUN, True, 3)
    values = [outcome["value"] for outcome in printed["outcomes"]]
    post = next(e for e in shown["endpoints"] if e["request_type"] == "POST")
    assert values == [shown["totals"]["response"]["p50_ms"], post["response"]["p95_ms"], None]


def test_a_check_that_fails_says_where_the_time_went(database, tmp_path):
    """In the table's wake, in JSON, in JUnit's XML and for GitHub; one that passes does not."""
    summary, report = tmp_path / "summary.md", tmp_path / "junit.xml"
    asked = ("--p95", "GET /tests=15", "--junit", str(report))
    failed = check(database, *asked, GITHUB_STEP_SUMMARY=str(summary), columns=200)
    found = json.loads(check(database, *asked, "--json").stdout)

    (finding,) = found["findings"]
    assert finding == (
        "GET /tests spent 12 of 20 ms in service time"
        " (database 9.0 ms in 41 statements, CPU 2.0 ms)."
    )
    assert finding in failed.stdout.splitlines()
    assert "GET /tests spent 12 of 20 ms in service time " in summary.read_text()
    assert [failure.text for failure in ElementTree.parse(report).iter("failure")] == [finding]
    passed = check(database, "--p95", "GET /tests=25", "--json")
    assert json.loads(passed.stdout)["findings"] == []


def test_the_use_of_resources_is_limited(connection, runs_database, tmp_path):
    """By what was stored of them, from when ramp-up was complete; what was not measured is said."""
    store_run(connection, [Sample(i / 10, 20) for i in range(900)], ramp_s=40, lasted_s=90)
    captures.store(connection, START, full_capture(START))
    connection.commit()
    asked = ["--pool-use", "80%", "--python-use", "api=80%", "--cpu-use", "0.8"]
    done = check(runs_database, *asked, columns=120)

    assert done.exit_code == 3
    assert [squeezed(line) for line in done.stdout.splitlines()[1:5]] == [
        "pool use ≤ 80% 92.7% after ramp-up FAIL",
        "python use of api ≤ 80% 30.0% after ramp-up pass",
        "cpu use ≤ 80% – after ramp-up not judged",
        "Not judged: cpu use was not measured.",
    ]
    passed = check(runs_database, "--pool-use", "95%", "--python-use", "40%")
    assert passed.exit_code == 0
    assert check(runs_database, "--pool-use", "api other=95%").exit_code == 4


KPIS = [Sample(10.75 + i / 10, 2000, "end to end", "KPI", failed=True) for i in range(100)]


@pytest.fixture(scope="module")
def mixed(cluster) -> Iterator[str]:
    """A run with a figure of its own beside its requests, and one with nothing else."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name) as connection:
            store_run(connection, KPIS, start=START - timedelta(hours=1), ramp_s=10.5)
            store_run(connection, requests() + KPIS, ramp_s=10.5, lasted_s=40)
        yield name


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--p95", "25", "--fail-ratio", "1%", "--avg-response-time", "21"], 0),
        (["--service-p95", "13", "--rps", "10"], 0),
        (["--db-p95", "9.3", "--db-calls", "41"], 0),
        (["--db-calls", "40"], 3),
        (["--db-calls", "40", "--requests", "POST"], 4),
        (["--p95", "25", "--requests", "*"], 3),
        (["--p95", "25", "--requests", "KPI"], 3),
        (["--p99", "35", "--requests", "GET, POST"], 3),
        (["--p99", "35", "--requests", "/tes*"], 3),
        (["--p99", "25", "--requests", "GET /tests"], 0),
        (["--p95", "25", "--requests", "DELETE"], 4),
        (["--p95", "KPI end to end=2100"], 0),
        (["latest~1", "--p95", "2100"], 0),
        (["latest~1", "--p95", "1900"], 3),
    ],
)
def test_figures_that_are_no_requests_decide_nothing(mixed, arguments, status):
    """Unless they are asked for by type or name, as an endpoint, or nothing else is there."""
    assert check(mixed, *arguments).exit_code == status


def test_what_counts_adds_up_as_it_does_without_the_rest(mixed, database):
    """To the last digit: the same requests, with and without a figure beside them."""
    metrics = ("p50", "p95", "p99", "service-p95", "rps", "fail-ratio", "avg-response-time")
    options = [word for metric in metrics for word in (f"--{metric}", "1")]

    def figures(name: str) -> list[tuple[float, int]]:
        answer = json.loads(check(name, *options, "--json").stdout)
        return [(o["value"], o["requests"]) for o in answer["outcomes"]]

    assert figures(mixed) == [
        (pytest.approx(value, rel=1e-12), requests) for value, requests in figures(database)
    ]


def test_what_was_left_out_is_said(mixed):
    """By type, with how many, below the table."""
    done = check(mixed, "--p95", "25")
    nothing = check(mixed, "--p95", "25", "--requests", "DELETE")

    assert "Left out: 100 of type KPI (not HTTP; --slo-requests can count them)." in squeezed(
        done.stdout
    )
    assert "Not judged: no request counts: none matches 'DELETE'." in squeezed(nothing.stdout)


def test_a_run_says_itself_what_counts(mixed):
    """What Locust was told is what a check of later goes by, unless it is told otherwise."""
    with psycopg.connect(mixed) as connection:
        connection.execute(
            "INSERT INTO events (time, run_id, kind, text, details)"
            " VALUES (%s, %s, 'note', 'said', '{\"requests\": \"POST\"}')",
            [START, START],
        )
        connection.commit()
        try:
            mean = ("--avg-response-time", "30")
            assert check(mixed, *mean).exit_code == 3
            assert check(mixed, *mean, "--requests", "GET").exit_code == 0
        finally:
            connection.execute("DELETE FROM events WHERE run_id = %s", [START])


def test_endpoints_without_a_name_of_their_own_are_not_guessed_at(connection, runs_database):
    """Beside HTTP they are taken for it; beside other figures nobody can tell."""
    more = [Sample(12 + i / 10, 20, *MORE_NAMES) for i in range(50)]
    fast = [Sample(11 + i / 10, 20) for i in range(200)]
    store_run(connection, fast + more, ramp_s=10.5)
    store_run(connection, fast + more + KPIS, START + timedelta(hours=1), ramp_s=10.5)
    connection.commit()

    assert check(runs_database, "latest~1", "--p95", "25").exit_code == 0
    done = check(runs_database, "--p95", "25")
    assert (done.exit_code, "too many names" in done.stdout) == (4, True)


def test_a_run_that_is_not_complete_is_waited_for(connection, runs_database):
    """Not judged while a worker's journal is missing; judged when it comes in time."""
    store_run(connection, [Sample(i / 10, 20) for i in range(100)])
    connection.execute(
        "INSERT INTO events (time, run_id, kind, text, details)"
        " VALUES (now(), %s, 'trust', 'Do not believe it.', '{\"saturated\": true}')",
        [START],
    )
    connection.execute("UPDATE run_worker SET stopped = NULL, outcome = NULL, dropped = 7")
    early = check(runs_database, "--p95", "25")

    def deliver() -> None:
        with psycopg.connect(runs_database, autocommit=True) as shipper:
            shipper.execute("UPDATE run_worker SET stopped = now(), outcome = 'stopped'")

    shipping = threading.Timer(0.7, deliver)
    shipping.start()
    late = check(runs_database, "--p95", "25", "--wait", "20")
    shipping.join()

    assert early.exit_code == 4
    assert "not judged" in early.stdout
    assert "1 of 1 workers have not delivered" in early.stdout
    assert late.exit_code == 0
    assert "Note: 7 samples were dropped.\nNote: Do not believe it.\n" in late.stdout


def test_a_run_that_is_on_is_not_judged(connection, runs_database):
    """Nor is an empty one."""
    store_run(connection, [Sample(i / 10, 20) for i in range(60)], lasted_s=None)
    running = check(runs_database, "--p95", "25")
    connection.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env, status, end_time)"
        " VALUES (%s, 'empty', 1, '', 'finished', now())",
        [START + timedelta(days=1)],
    )
    empty = check(runs_database, "--p95", "25")

    assert (running.exit_code, "the run is still running" in running.stdout) == (4, True)
    assert (empty.exit_code, "there are no requests" in empty.stdout) == (4, True)


def test_a_database_that_is_away_cannot_tell():
    """Status 4 and one line, no table."""
    done = check("host=127.0.0.1 port=1", "--p95", "25")

    assert (done.exit_code, done.stdout) == (4, "")
    assert "the runs database cannot be reached" in done.stderr
    assert done.stderr.count("\n") == 1
