"""Which requests count: by type or name, and those of HTTP where nobody says."""

from __future__ import annotations

import pytest

from swarmscope.runs.counting import counted
from swarmscope.runs.selection import Selection

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
    assert counted(HTTP | OWN, Selection.parse(text)) == expected


def test_where_nothing_is_of_http_all_count():
    """A scenario for another protocol is judged by what it has."""
    assert counted(OWN, Selection()) == OWN
    assert counted({("x", "get"), *OWN}, Selection()) == {("x", "get")}


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
