"""POST /tests: what is taken, and what is refused without a trace."""

from __future__ import annotations

import json

import pytest

from api.testing_types import MAX_DESCRIPTION_CHARACTERS, MAX_NAME_CHARACTERS

JSON = "application/json"


def row(**changes: object) -> bytes:
    """Return a good body with *changes*; None leaves a field out."""
    fields = {"name": "load testing", "description": "testing a system under load"} | changes
    kept = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(kept).encode()


LONGEST = "\N{HUGGING FACE}"  # 4 bytes in UTF-8, 12 as \u escapes

BAD = {
    "no body": (400, JSON, b""),
    "no JSON": (400, JSON, b"name=load testing"),
    "cut off": (400, JSON, row()[:-1]),
    "more after it": (400, JSON, row() + b"x"),
    "not a number": (400, JSON, b'{"name": NaN, "description": "d"}'),
    "a control character": (400, JSON, b'{"name": "a\nb", "description": "d"}'),
    "not UTF-8": (400, JSON, b'{"name": "\xff", "description": "d"}'),
    "UTF-16": (400, JSON, row().decode().encode("utf-16")),
    "a byte order mark": (400, JSON, b"\xef\xbb\xbf" + row()),
    "a lone surrogate": (400, JSON, b'{"name": "\\ud800", "description": "d"}'),
    "a lone low surrogate": (400, JSON, b'{"name": "\\udc00", "description": "d"}'),
    "surrogates in reverse": (400, JSON, b'{"name": "\\udc00\\ud800", "description": "d"}'),
    "a surrogate in UTF-8": (400, JSON, b'{"name": "\xed\xa0\x80", "description": "d"}'),
    "a form": (415, "application/x-www-form-urlencoded", b"name=load&description=d"),
    "a file": (415, "multipart/form-data; boundary=x", b"--x--"),
    "text": (415, "text/plain", row()),
    "JSON of another kind": (415, "application/problem+json", row()),
    "no type": (415, None, row()),
    "a type that is none": (415, ";", row()),
    "null": (422, JSON, b"null"),
    "a string": (422, JSON, b'"load testing"'),
    "a list": (422, JSON, b"[" + row() + b"]"),
    "nothing in it": (422, JSON, b"{}"),
    "deep": (422, JSON, b"[" * 16_000),
    "no name": (422, JSON, row(name=None)),
    "no description": (422, JSON, row(description=None)),
    "an empty name": (422, JSON, row(name="")),
    "an empty description": (422, JSON, row(description="")),
    "a number as name": (422, JSON, row(name=1)),
    "a huge number as name": (422, JSON, b'{"name": ' + b"1" * 9000 + b', "description": "d"}'),
    "true as description": (422, JSON, row(description=True)),
    "a list as description": (422, JSON, row(description=["d"])),
    "null as name": (422, JSON, b'{"name": null, "description": "d"}'),
    "another field": (422, JSON, row(id=7)),
    "a field in capitals": (422, JSON, row(Name="x")),
    "a long name": (422, JSON, row(name="n" * (MAX_NAME_CHARACTERS + 1))),
    "a long description": (422, JSON, row(description="d" * (MAX_DESCRIPTION_CHARACTERS + 1))),
    "NUL in the name": (422, JSON, row(name="a\0b")),
    "NUL before a line's end": (422, JSON, row(name="a\0\n")),
    "NUL in the description": (422, JSON, row(description="\0")),
    "over 16 KiB": (413, JSON, row(description="d" * 16 * 1024)),
}


@pytest.mark.parametrize(("status", "content_type", "body"), BAD.values(), ids=list(BAD))
def test_bad_input_is_refused_and_changes_nothing(client, status, content_type, body):
    """Each gets the JSON error with its own status."""
    before = client.get("/tests").json

    answer = client.post("/tests", data=body, content_type=content_type)

    assert answer.status_code == status
    assert answer.mimetype == JSON
    assert answer.json.keys() == {"error", "message"}
    assert all(isinstance(text, str) and text for text in answer.json.values())
    assert client.get("/tests").json == before


GOOD = [
    ("x", "y"),
    ("  spaces are kept ", "\ttabs\nand lines too\r\n"),
    ("naïve Prüfung テスト", "Ω \u202e \ufffe \U0010ffff"),
    ("'; DROP TABLE tests; --", "%s :name ? $1 {0} \\"),
    ("<script>", '"quoted"'),
    (LONGEST * MAX_NAME_CHARACTERS, LONGEST * MAX_DESCRIPTION_CHARACTERS),
]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_good_input_is_kept_to_the_letter(stored, ascii_only):
    """The longest fields still fit the body limit, however they are written."""
    given = [{"name": name, "description": description} for name, description in GOOD]
    for row in given:
        body = json.dumps(row, ensure_ascii=ascii_only).encode()
        answer = stored.post("/tests", data=body, content_type=JSON)
        assert (answer.status_code, answer.data) == (204, b"")

    assert stored.get("/tests").json[1:] == given


def test_a_charset_and_capitals_in_the_type_are_fine(client):
    """Media types are case-insensitive and have parameters."""
    kind = "Application/JSON; charset=utf-8"
    assert client.post("/tests", data=row(), content_type=kind).status_code == 204


def test_exactly_16_kib_are_read(client):
    """A byte more is too much."""
    body = row().ljust(16 * 1024)

    assert client.post("/tests", data=body, content_type=JSON).status_code == 204
    assert client.post("/tests", data=body + b" ", content_type=JSON).status_code == 413
