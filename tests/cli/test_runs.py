"""`runs` and `show` as people type them, against a real database."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest
from support.command import answer, complaint
from support.rich_run import store_levels
from support.stored_runs import HOSTILE, START, Sample, store_run
from support.two_services import two_services

from swarmscope.cli import main
from swarmscope.runs import captures, queries
from swarmscope.runs.call_counts import CallCount, CallCounts, StatementCount
from swarmscope.runs.server_series import Capture


def test_runs_are_listed_latest_first(two_runs, runs_database):
    """A row a run: its id, plan, users, rate, p95, failures and state."""
    lines = answer("runs", "--database", runs_database, columns=140).splitlines()

    assert lines[0].split() == [
        "run", "plan", "users", "time", "requests", "req/s", "p95", "ms", "failed", "state",
    ]  # fmt: skip
    assert lines[1].startswith("2026-03-01T13:00:00.250000Z")
    (early,) = (line for line in lines if line.startswith("2026-03-01T12:00:00.250000Z"))
    assert early.split()[1:] == [
        "classic.py", "10", "0:50", "402", "9.99", "23.9", "0.00%", "finished",
    ]  # fmt: skip
    assert lines[1].split()[-2:] == ["finished,", "incomplete"]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "arguments", [("runs",), ("show",), ("show", "--parts"), ("show", "latest~1")]
)
def test_tables_fit_and_do_no_harm(two_runs, runs_database, columns, arguments):
    """Whatever names hold, no line is wider than the terminal and no control character gets out."""
    text = answer(*arguments, "--database", runs_database, columns=columns, FORCE_COLOR="1")

    plain = text
    for style in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):  # bold, dim, back: ours
        plain = plain.replace(style, "")
    assert all(c == "\n" or c.isprintable() for c in plain)
    assert max(map(len, plain.splitlines())) <= columns
    if arguments != ("show", "latest~1"):
        assert r"\x1b[31m/" in plain


def test_show_prints_a_run(two_runs, runs_database):
    """Facts first, then each endpoint with its parts, and what the figures are of."""
    text = answer("show", "latest~1", "--database", runs_database, columns=120)
    facts, table, times, note = text.split("\n\n")

    known = dict(line.split(maxsplit=1) for line in facts.splitlines() if " " in line.strip())
    assert known["users"].strip() == "10 of 10 requested"
    assert (known["duration"].strip(), known["objective"].strip()) == (
        "0:50",
        "met (p95 within 450 ms, at most 1% failed)",
    )
    rows = [line.split() for line in table.splitlines()]
    assert rows[0][2:] == [
        "requests", "failed", "req/s", "mean", "p50", "p90", "p95", "p99", "max",
    ]  # fmt: skip
    assert rows[1][2:6] == ["402", "0.00%", "9.99", "22.0"]
    assert [row[0] for row in rows[2:5]] == ["queue", "service", "outside"]
    assert rows[3] == ["service", "402", "20.0", "19.6", "19.6", "19.6", "19.6", "20.0"]
    assert times.splitlines() == [
        "mean 22.0 ms: queue 1.00, service time 20.0, outside 2.00",
        "GET /tests spent 20 of 22 ms in service time, whose components were not measured.",
    ]
    assert note == "After ramp-up (0:10 to 0:50).\n"


def test_show_has_the_levels_of_a_search(two_runs, runs_database, connection):
    """A table of their own, when there are any."""
    store_levels(connection, START)
    text = answer("show", "latest~1", "--database", runs_database, columns=120)
    table = text.split("\n\n")[3].splitlines()

    assert table[0].split()[:4] == ["users", "measured", "requests", "p50"]
    assert table[1].split() == [
        "10", "8", "s", "80", "20.0", "10.0", "0.00%", "31.0", "21.0", "9.50", "held",
    ]  # fmt: skip
    assert "broke, POST /orders/" in " ".join(table[2:])


def test_show_says_when_the_generator_is_not_to_be_trusted(two_runs, runs_database, connection):
    """As the page and `check` do; of one that kept up, nothing."""
    note = "INSERT INTO events (time, run_id, kind, text, details) VALUES (%s, %s, 'trust', %s, %s)"
    later = START + timedelta(hours=1)
    connection.execute(note, [START, START, "Do not trust it.", '{"saturated": true}'])
    connection.execute(note, [later, later, "It kept up.", '{"saturated": false}'])
    connection.commit()

    early, late = (answer("show", n, "--database", runs_database) for n in ("latest~1", "latest"))
    assert "Do not trust it." in early
    assert "It kept up." not in late


def test_the_brief_form_says_when_trust_was_not_measured(two_runs, runs_database):
    """A run that ends before a report of its generator is not passed over in silence."""
    lines = answer("show", "latest~1", "--brief", "--database", runs_database).splitlines()

    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("trust")] == [
        "not measured: the generator reported nothing after ramp-up"
    ]


def test_show_says_what_failed(connection, runs_database):
    """How often, where and why: the most frequent ten kinds, a text no longer than a paragraph."""
    many = [Sample(i / 10, 20, f"/{i % 12:x}", failed=i % 12 != 0) for i in range(239)]
    store_run(connection, many)
    connection.execute(
        "UPDATE request SET exception = %s WHERE name = '/1'", ["\x1b[2J" + "x" * 1000]
    )
    text = answer("show", "--database", runs_database, columns=300)
    table = text.split("\n\n")[2].splitlines()

    assert table[0].split() == ["failures", "endpoint", "error"]
    assert [line.split()[:3] for line in table[1:3]] == [
        ["20", "GET", "/1"],
        ["20", "GET", "/2"],
    ]
    assert r"\x1b[2Jxxx" in table[1]
    assert table[2].rstrip().endswith("it failed")
    assert len(table) == 12
    assert " ".join(table[11].split()) == "… more in `show --json` and on the run's page"


def test_show_says_what_is_missing(two_runs, runs_database):
    """An incomplete run, dropped samples and a missed objective are said in so many words."""
    text = answer("show", "latest", "--database", runs_database, columns=200)

    assert "finished, incomplete" in text
    assert "1, 1 not delivered yet" in text
    assert "7 samples" in text
    assert "missed" in text
    assert text.endswith("Whole run: ramp-up was not complete (0:00 to 0:30).\n")


def test_json_has_every_digit(two_runs, runs_database, connection):
    """`runs --json` is a list, `show --json` a run's document; times are UTC."""
    listed = json.loads(answer("runs", "--json", "--database", runs_database, TZ="Asia/Tokyo"))
    shown = json.loads(answer("show", "latest~1", "--json", "--database", runs_database))

    assert [run["run"] for run in listed] == [
        "2026-03-01T13:00:00.250000Z",
        "2026-03-01T12:00:00.250000Z",
    ]
    assert listed[0]["testplan"] == HOSTILE
    assert (listed[0]["complete"], listed[1]["complete"]) == (False, True)
    assert shown["run"]["ended"] == "2026-03-01T12:00:50.250000Z"
    expected = {row.part: row.p95_ms for row in queries.summary(connection, START) if not row.name}
    assert {part: shown["totals"][part]["p95_ms"] for part in expected} == expected
    assert len(answer("runs", "-n", "1", "--json", "--database", runs_database)) < 2_000


def test_whole_includes_the_ramp(two_runs, runs_database):
    """With --whole the requests of the ramp count too."""
    shown = json.loads(answer("show", "latest~1", "--whole", "--json", "--database", runs_database))

    assert shown["whole"] is True
    assert shown["totals"]["requests"] == shown["totals"]["service"]["requests"] == 500


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("latest", 13),
        ("latest~0", 13),
        ("latest~1", 12),
        ("2026-03-01T12:00:00.250000Z", 12),
        ("2026-03-01T13", 13),
    ],
)
def test_runs_are_found_by_many_names(two_runs, connection, wanted, found):
    """Counted back from the latest, by id, or by what an id begins with."""
    assert queries.find(connection, wanted).started.hour == found


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("latest~2", "there is no run 'latest~2'"),
        ("2026-03", "several runs begin with '2026-03'"),
        ("2025", "there is no run '2025'"),
        ("'; DROP TABLE testrun; --", "there is no run"),
        ("%", "there is no run '%'"),
        ("\x1b[31m", r"there is no run '\x1b[31m'"),
    ],
)
def test_a_run_that_is_not_there(two_runs, runs_database, wanted, says):
    """One line says so and how to find one."""
    line = complaint("show", wanted, "--database", runs_database)

    assert says in line
    assert "`swarmscope runs` lists them" in line
    assert "\x1b" not in line


def test_no_runs_yet(connection, runs_database):
    """An empty database is no error."""
    assert answer("runs", "--database", runs_database).startswith("No runs yet")
    assert json.loads(answer("runs", "--json", "--database", runs_database)) == []
    assert "there is no run 'latest'" in complaint("show", "--database", runs_database)


def test_show_says_what_was_odd_and_what_was_used(two_runs, runs_database, connection):
    """Each oddity has its label, a search's settings only a search; failures say their span."""
    connection.execute(
        "UPDATE run_worker SET clock_skewed = 12, corrected = 3, after_stop = 2 WHERE run_id = %s",
        [START],
    )
    connection.execute("UPDATE request SET success = 0 WHERE run_id = %s", [START])
    settings = '{"users": 10, "capacity_start": 10, "slo_p95": 450, "run_time": null, "host": "x"}'
    connection.execute("UPDATE testrun SET settings = %s WHERE id = %s", [settings, START])
    lines = answer("show", "latest~1", "--database", runs_database, columns=140).splitlines()

    rows = (re.split("  +", line.strip(), maxsplit=1) for line in lines[: lines.index("")])
    facts = dict(row for row in rows if len(row) == 2)
    assert facts["settings"] == "users 10, slo_p95 450"
    stored = json.loads(answer("show", "latest~1", "--json", "--database", runs_database))
    assert "capacity_start" not in stored["run"]["settings"]
    assert facts["clock skew"] == "12 clock-skewed samples without parts; 3 start times corrected"
    assert facts["not counted"] == "2 requests after the stop"
    assert "dropped" not in facts
    assert lines[-1] == "After ramp-up (0:10 to 0:50). Failures are listed for the whole run."


def test_show_reads_no_more_than_it_prints(two_runs, runs_database, monkeypatch):
    """Histograms are merged once for all endpoints, failures read once, slowest requests never."""
    asked = []
    execute = psycopg.Cursor.execute

    def counted(cursor, query, *arguments, **options):
        asked.append(re.search(r"(?<=FROM )\w+(?=\()|$", str(query))[0])
        return execute(cursor, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    main(["show", "latest~1", "--database", runs_database], standalone_mode=False)

    read = {name: asked.count(name) for name in ("summary", "component_summary", "failures")}
    assert read == {"summary": 1, "component_summary": 1, "failures": 1}
    assert "slowest" not in asked
    assert len(asked) < 40


def test_of_many_failures_the_newest_are_counted(two_runs, runs_database, connection):
    """However many requests failed, a bounded number of them is read."""
    connection.execute(
        "INSERT INTO request (run_id, time, name, request_type, exception, success, response_time,"
        " greenlet_id, loadgen, testplan) SELECT %(run)s, %(run)s + i * interval '1 ms', name,"
        " 'GET', name, 0, 1, 0, '', '' FROM generate_series(1, 10010) i,"
        " LATERAL (SELECT CASE WHEN i <= 10 THEN '/old' ELSE '/new' END AS name) named",
        {"run": START},
    )

    lines = answer("show", "latest~1", "--database", runs_database, columns=120).splitlines()

    assert [line.split() for line in lines if "/new" in line] == [["10,000", "GET", "/new", "/new"]]
    assert not any("/old" in line for line in lines)
    assert lines[-1] == "After ramp-up (0:10 to 0:50). The newest 10,000 failures are listed."


@pytest.fixture
def divided(connection) -> datetime:
    """A run whose list takes 41 statements, and an order that calls another service."""
    known = {"queue": 1.0, "service": 80.0, "cpu": 5.0, "other": 1.0, "outside": 1.0}
    listed = known | {"db": 74.0, "db_calls": 41.0}
    ordered = known | {"db": 4.0, "db_calls": 3.0, "http": 70.0, "http_calls": 1.0}
    samples = [Sample(at / 5, 82.0, "/orders", "GET", parts=listed) for at in range(90)]
    samples += [Sample(at / 5, 82.0, "/orders", "POST", parts=ordered) for at in range(60)]
    return store_run(connection, samples, lasted_s=20)


def test_show_says_where_the_time_went(divided, runs_database):
    """The means of all requests, and a sentence for each part that dominates an endpoint."""
    said = [
        "mean 82.0 ms: queue 1.00, CPU 5.00, database 46.0 (26 statements),"
        " HTTP calls 28.0 (0.4 calls), other 1.00, outside 1.00",
        "GET /orders spent 74 of 82 ms in 41 database statements.",
        "POST /orders waited 70 of 82 ms for other services (1 call).",
    ]

    shown = answer("show", "--database", runs_database, columns=140)
    brief = answer("show", "--brief", "--database", runs_database).splitlines()
    document = json.loads(answer("show", "--json", "--database", runs_database))

    assert "\n".join(said) in shown
    first = brief.index(f"time           {said[0]}")
    assert [line.strip() for line in brief[first + 1 : first + 3]] == said[1:]
    assert document["findings"] == said[1:]


@pytest.mark.parametrize("columns", [80, 140])
def test_parts_are_a_table_by_endpoint(divided, runs_database, columns):
    """Mean and p95 of each part that took time, and the calls; a narrow one leaves two out."""
    text = answer("show", "--parts", "--database", runs_database, columns=columns)
    (table,) = [
        part.splitlines() for part in text.split("\n\n") if part.startswith("endpoint, mean")
    ]

    rows = [
        "endpoint, mean ms response queue cpu db (calls) http (calls) other outside",
        "all endpoints 82.0 1.00 5.00 46.0 (25.8) 28.0 (0.40) 1.00 1.00",
        "p95 82.0 0.98 5.00 74.0 68.4 0.98 0.98",
        "GET /orders 82.0 1.00 5.00 74.0 (41.0) 0.00 1.00 1.00",
        "p95 82.0 0.98 5.00 74.0 0.00 0.98 0.98",
        "POST /orders 82.0 1.00 5.00 4.00 (3.00) 70.0 (1.00) 1.00 1.00",
    ]
    if columns == 80:
        rows = [row.rsplit(" ", 1)[0] for row in rows]
    assert [" ".join(line.split()) for line in table[:6]] == rows


@pytest.fixture
def counted(connection) -> datetime:
    """A run whose list executes one of its statements in a loop, and calls another service."""
    run = store_run(connection, [Sample(at, 50) for at in range(20)], lasted_s=20)
    text = "SELECT name FROM items WHERE id = ?"
    item = StatementCount(0, "shop", "GET", "/orders", text, 20, 2.0, 780, 780, 1.2, 0.02)
    once = replace(item, statement="SELECT \x1b[31m", calls=20, rows=400, seconds=0.1)
    counts = CallCounts([item, once], [CallCount(0, "shop", "pricing:80", "GET", 20, 20, 2, 1.0)])
    captures.store(connection, run, Capture(run, 2.0, {}, counts=counts))
    return run


@pytest.mark.parametrize("columns", [80, 140])
def test_statements_are_a_table_by_route(counted, runs_database, columns):
    """How often a request executes each; what is repeated is said without being asked for."""
    said = "GET /orders: 40 statements per request, 39 of them SELECT … FROM items WHERE id = ?"
    plain = answer("show", "--database", runs_database, columns=140)
    text = answer("show", "--statements", "--database", runs_database, columns=columns)
    document = json.loads(answer("show", "--json", "--database", runs_database))

    assert said in plain
    assert "of its time" not in plain
    assert document["findings"] == [said]
    assert document["statements"][0]["per_request"] == 39
    assert document["calls"][0]["host"] == "pricing:80"
    assert max(map(len, text.splitlines())) <= columns
    if columns == 140:
        rows = [" ".join(line.split()) for line in text.splitlines()]
        first = rows.index("route statement per request of its time mean max rows")
        assert rows[first + 1 : first + 3] == [
            "GET /orders SELECT name FROM items WHERE id = ? 39.0 60.0% 1.54 20.0 780",
            r"SELECT \x1b[31m 1.00 5.00% 5.00 20.0 400",
        ]
        assert "shop GET pricing:80 1.00 50.0 10.0%" in rows


def test_statements_that_nobody_counted(two_runs, runs_database):
    """Unknown is not none."""
    text = answer("show", "--statements", "--database", runs_database)

    assert "Statements were not measured." in text


def test_services_are_told_apart(connection, runs_database):
    """Each has a row, and who waited for whom is said, here and where a headless run ends."""
    run = store_run(connection, [Sample(at, 50) for at in range(20)], lasted_s=20)
    captures.store(connection, run, two_services(run))
    said = (
        "shop waited 240 ms per call for pricing (127.0.0.1:5001), which itself took 236 ms:"
        " 24.0 ms of the 38.0 ms that shop took per request."
    )

    shown = answer("show", "--database", runs_database, columns=140)
    brief = answer("show", "--brief", "--database", runs_database)

    assert said in shown.splitlines()
    rows = [line.split() for line in shown.splitlines()]
    assert ["shop", "100", "1.00%", "38.0", "–", "24.0", "pricing"] in rows
    assert ["pricing", "10.0", "–", "235", "1.00", "–"] in rows
    assert f"time           {said}" in brief.splitlines()
