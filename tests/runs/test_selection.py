"""Which requests count: by type or name, and those of HTTP where nobody says."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from support.command import swarmscope
from support.stored_runs import Sample, store_run

from swarmscope.runs import assembly
from swarmscope.runs.selection import MORE_NAMES, Selection

HTTP = {("/tests", "GET"), ("/tests", "POST"), ("/tests/[id]", "GET")}
OWN = {("end to end", "KPI"), ("GET", "PubSub")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", HTTP),
        ("*", HTTP | OWN),
        ("GET", {("/tests", "GET"), ("/tests/[id]", "GET"), ("GET", "PubSub")}),
        ("GET /tests", {("/tests", "GET")}),
        ("/tests", {("/tests", "GET"), ("/tests", "POST")}),
        ("GET /tests*", {("/tests", "GET"), ("/tests/[id]", "GET")}),
        ("/tests/[id], KPI", {("/tests/[id]", "GET"), ("end to end", "KPI")}),
        (" , end to end ,", {("end to end", "KPI")}),
        ("test", set()),
    ],
)
def test_requests_are_chosen_by_type_or_name(text, expected):
    """A pattern is the whole of it; only the star stands for more."""
    assert Selection.parse(text).counted(HTTP | OWN) == expected


def test_where_nothing_is_of_http_all_count():
    """A scenario for another protocol is judged by what it has."""
    assert Selection().counted(OWN) == OWN
    assert Selection().counted({("x", "get"), *OWN}) == {("x", "get")}


def test_what_is_left_out_is_said_by_type():
    """The most frequent first, and no endless list; nothing is said of nothing."""
    many = {f"T{number}": number for number in range(1, 9)}

    assert Selection().left_out({}) == ""
    assert Selection().left_out({"KPI": 1200, "": 3}) == (
        "Left out: 1,200 of type KPI, 3 of type (none) (not HTTP; --slo-requests can count them)."
    )
    assert Selection.parse("GET,POST").left_out(many) == (
        "Left out: 8 of type T8, 7 of type T7, 6 of type T6, 5 of type T5, 4 of type T4, …"
        " (--slo-requests is 'GET, POST')."
    )


@pytest.mark.parametrize("named", [HTTP | OWN, OWN, {*HTTP, MORE_NAMES}, {*OWN, MORE_NAMES}])
@pytest.mark.parametrize("text", ["", "*", "GET", "GET /tests*", "/tests/[id], KPI", "te_t", "%"])
def test_the_database_leaves_out_the_same(connection, named, text):
    """`left_out` of SQL and `counted` are one definition, spaces and wildcards included."""
    run = store_run(connection, [Sample(5 + i, 20, *one) for i, one in enumerate(sorted(named))])
    select(connection, run, text)

    found = connection.execute(
        "SELECT name, request_type FROM left_out(%s, %s, %s)", [run, run, run + timedelta(hours=1)]
    ).fetchall()

    assert set(found) == named - Selection.parse(text).counted(named)


def slow_figures_beside_fast_requests(connection) -> datetime:
    fast = [Sample(1 + n / 10, 20) for n in range(300)]
    return store_run(
        connection, fast + [Sample(5 + n / 10, 9000, "end", "KPI") for n in range(100)]
    )


def test_no_reader_judges_a_run_by_what_does_not_count(connection, runs_database):
    """`check` passes; page, `show` and lists say why they do not judge, and call nothing missed."""
    run = slow_figures_beside_fast_requests(connection)
    connection.commit()
    where = ("--database", runs_database)

    assert swarmscope("check", *where).exit_code == 0
    shown = " ".join(swarmscope("show", *where, columns=200).stdout.split())
    made = assembly.assemble(connection, run)
    (listed,) = json.loads(swarmscope("runs", "--json", *where).stdout)
    whole = connection.execute("SELECT objective FROM run_list()").fetchall()
    since, until = run - timedelta(seconds=1), run + timedelta(hours=1)
    rows = "SELECT endpoint, objective FROM endpoints(%s, %s, %s)"

    assert "100 of 400 requests do not count for it" in made.objective.reason
    assert made.objective.met is None
    assert {e.name: e.objective_met for e in made.endpoints} == {"/tests": True, "end": None}
    assert f"not judged (p95 within 450 ms, at most 1% failed): {made.objective.reason}" in shown
    assert (listed["objective_met"], listed["left_out"]) == (None, 100)
    assert whole == [("not judged",)]
    assert dict(connection.execute(rows, [run, since, until]).fetchall()) == {
        "All endpoints": "not judged",
        "GET /tests": "met",
        "KPI end": "not judged",
    }


def test_a_run_of_which_all_is_asked_to_count_is_judged(connection):
    """The option may let figures of the scenario's own count."""
    run = slow_figures_beside_fast_requests(connection)
    select(connection, run, "*")

    assert assembly.assemble(connection, run).objective.met is False


def select(connection, run: datetime, text: str) -> None:
    """Note what --slo-requests said, as Locust does."""
    if text:
        connection.execute(
            "INSERT INTO events (time, run_id, kind, text, details)"
            " VALUES (%s, %s, 'note', 'said', %s)",
            [run, run, json.dumps({"requests": text})],
        )
    connection.commit()
