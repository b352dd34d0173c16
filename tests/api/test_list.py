"""GET /tests: what is there, in order, in pages."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from api import create_app
from api.settings import Settings

UNIT = {"name": "unit testing", "description": "testing individual units of source code"}


def add(client: FlaskClient, *names: str) -> None:
    for name in names:
        answer = client.post("/tests", json={"name": name, "description": f"about {name}"})
        assert answer.status_code == 204


def test_an_empty_database_starts_with_unit_testing(stored):
    """The classic first answer, to the letter."""
    answer = stored.get("/tests")

    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.json == [UNIT]
    assert answer.headers["X-Total-Count"] == "1"
    assert "Link" not in answer.headers


def test_what_was_added_comes_last(stored):
    """The order is that of addition, not of the alphabet."""
    add(stored, "smoke testing", "load testing", "acceptance testing")

    names = [row["name"] for row in stored.get("/tests").json]
    assert names == ["unit testing", "smoke testing", "load testing", "acceptance testing"]


def test_an_existing_name_keeps_its_place_and_gets_the_new_description(stored):
    """A long swarm that posts the same names does not grow the list."""
    add(stored, "load testing", "stress testing")
    for number in range(3):
        row = {"name": "load testing", "description": f"version {number}"}
        assert stored.post("/tests", json=row).status_code == 204

    rows = stored.get("/tests").json
    assert [row["name"] for row in rows] == ["unit testing", "load testing", "stress testing"]
    assert rows[1]["description"] == "version 2"


def test_the_first_row_can_be_replaced_for_good(database_url, stored):
    """A restart does not bring the first row's own description back."""
    row = {"name": "unit testing", "description": "mine"}
    stored.post("/tests", json=row)

    again = create_app(Settings(database_url=database_url)).test_client()
    assert again.get("/tests").json == [row]


def test_following_the_links_visits_everything_once(stored):
    """Pages of any size add up to the whole, and each says how many there are in all."""
    add(stored, *(f"test {number}" for number in range(7)))
    everything = stored.get("/tests").json

    for limit in (1, 3, 4, 8, 1000):
        address, rows, pages = f"/tests?limit={limit}", [], 0
        while address:
            answer = stored.get(address)
            assert answer.headers["X-Total-Count"] == "8"
            assert 1 <= len(answer.json) <= limit
            rows, pages = rows + answer.json, pages + 1
            address = _next(answer.headers.get("Link"))
        assert rows == everything
        assert pages == -(-8 // limit)


def _next(link: str | None) -> str | None:
    if link is None:
        return None
    target, options = parse_options_header(link)
    assert options == {"rel": "next"}
    return target.removeprefix("<").removesuffix(">")


def test_a_hundred_rows_are_a_page_by_default(client):
    """The default keeps the answer small however long the list gets."""
    add(client, *(f"test {number}" for number in range(100)))

    answer = client.get("/tests")
    assert len(answer.json) == 100
    assert answer.headers["X-Total-Count"] == "101"
    assert client.get(_next(answer.headers["Link"])).json[-1]["name"] == "test 99"


def test_beyond_the_end_is_an_empty_page(stored):
    """It still says how many there are."""
    answer = stored.get("/tests?after=9223372036854775807")

    assert (answer.status_code, answer.json) == (200, [])
    assert answer.headers["X-Total-Count"] == "1"
    assert "Link" not in answer.headers


def test_rows_added_while_paging_are_found(stored):
    """A page is continued after what was seen, not after a number of rows."""
    add(stored, "a", "b")
    link = stored.get("/tests?limit=2").headers["Link"]
    add(stored, "c")

    assert [row["name"] for row in stored.get(_next(link)).json] == ["b", "c"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=abc",
        "limit=",
        "limit=-1",
        "limit=1001",
        "limit=1.0",
        "limit=1e2",
        "limit=+5",
        "limit=%205",
        "limit=1_0",
        "limit=%EF%BC%95",  # a full-width 5, which int() would take
        "limit=" + "9" * 4000,
        "limit=5&limit=5",
        "limit=%00",
        "limit=%ff",
        "after=-1",
        "after=x",
        "after=9223372036854775808",
        "limit=5&after=",
    ],
)
def test_a_bad_page_is_refused(client, query):
    """The answer names the parameter and its range."""
    answer = client.get(f"/tests?{query}")

    assert answer.status_code == 422
    assert answer.json["error"] == "Unprocessable Entity"
    name = "after" if "after" in query else "limit"
    assert answer.json["message"].startswith(f"{name} must be one whole number from ")


def test_other_parameters_are_ignored(client):
    """A cache buster is no mistake."""
    assert client.get("/tests?_=17&limit=01").json == [UNIT]


def test_head_has_the_headers_without_the_body(client):
    """HEAD is GET without its body."""
    answer = client.head("/tests")

    assert answer.status_code == 200
    assert answer.headers["X-Total-Count"] == "1"
    assert answer.headers["Content-Length"] == str(len(client.get("/tests").data))
    assert answer.data == b""
