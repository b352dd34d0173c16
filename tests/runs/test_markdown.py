"""Markdown of a check: what readers see is what was found, whatever names are in it."""

from __future__ import annotations

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from swarmscope.runs import markdown
from swarmscope.runs.thresholds import FAILED, NOT_JUDGED, PASSED, CheckResult, Outcome, Threshold

HOSTILE = (
    'GET /<script>&"]]>|`[x](y)![i](http://evil/)*_~#1 @everyone --> <!-- &lt;'
    "\n# h\r\t\x00\x1b[31m\x85\ufffe\u202e\\\\| http://evil.example www.evil.example :tada: $a$"
)
SENTENCE = "GET /a spent 74.2 of 81 ms in 41 statements."


def found(*outcomes: Outcome, status: int = 3, **more: list[str]) -> CheckResult:
    fields = {"notes": [], "findings": []} | more
    return CheckResult(
        "2026-03-01T12:00:00.250000Z", True, status, outcomes=list(outcomes), **fields
    )


def limit(name: str = "", verdict: str = PASSED, **more: object) -> Outcome:
    return Outcome(Threshold("p95", 300.0, name), "after ramp-up", verdict, 312.3, 12345, **more)


def rendered(text: str) -> str:
    """Return the HTML that a renderer with GitHub's tables and links makes of *text*."""
    options = {"html": True, "linkify": False}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).render(text)


def seen(text: str) -> str:
    """Return what readers of *text* see, in one line."""
    return " ".join(unescape(re.sub("<!--.*?-->|<[^>]*>", "", rendered(text), flags=re.S)).split())


def test_it_begins_with_a_marker_and_the_verdict():
    """The same marker for every run with that title; another one for another title."""
    lines = markdown.of_check(found(limit(verdict=FAILED)), "shop --> (py3.12)").splitlines()

    assert lines[0] == "<!-- swarmscope check: shop%20--%3E%20%28py3.12%29 -->"
    assert seen(lines[1]) == "shop --> (py3.12): ❌ failed"
    assert lines[0] == markdown.of_check(found(status=0), "shop --> (py3.12)").splitlines()[0]
    assert lines[0] != markdown.marker("shop")


@pytest.mark.parametrize(("status", "word"), [(0, "passed"), (3, "failed"), (4, "not judged")])
def test_the_verdict_is_that_of_the_exit_status(status, word):
    """In the heading."""
    assert f"{word}\n" in markdown.of_check(found(limit(), status=status), "shop")


def test_limits_are_rows_of_a_table():
    """With names in code style, as many cells as headings, and numbers to the right."""
    text = markdown.of_check(found(limit("GET /tests", FAILED), limit()), "shop")

    assert "| check | limit | value | requests | span | result |" in text
    assert "| --- | ---: | ---: | ---: | --- | --- |" in text
    assert "| <code>p95</code> | ≤ 300 ms | 312 ms | 12,345 | after ramp-up | pass |" in text


def test_no_name_is_markup():
    """Neither in the table nor in sentences: all of it is text, in one line each."""
    outcome = limit(HOSTILE, NOT_JUDGED, reason=HOSTILE)
    text = markdown.of_check(found(outcome, notes=[HOSTILE], findings=[HOSTILE]), HOSTILE)
    tags = set(re.findall(r"<(?!!)/?([^ >]+)", rendered(text)))

    assert tags == {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert seen(text).count("<script>") == 5
    assert "http://evil" not in re.sub("&#[0-9]+;", "", text)
    assert not re.search(r"[@#]\w", re.sub("&#\\d+;", lambda m: unescape(m[0]), text)[4:])


def test_readers_of_the_source_can_read_it():
    """Punctuation within words and figures, and at the end of a sentence, needs no escape."""
    text = markdown.of_check(found(limit(), findings=[SENTENCE], notes=["Not judged: too few."]))

    assert SENTENCE in text
    assert "Not judged: too few." in text
    assert markdown.text("1. one - two 99.5% 5%x a.py www.b +1 + -") == (
        "1&#46; one &#45; two 99.5% 5&#37;x a.py www&#46;b +1 &#43; &#45;"
    )


def test_a_cause_comes_first_and_the_report_last():
    """Findings precede the table; an address cannot end its link."""
    link = "https://ci.example/run/1?a=b&c=(d)> [x](y)\n"
    text = markdown.of_check(found(limit(), findings=[SENTENCE]), "shop", ["#### More"], link)
    blocks = text.split("\n\n")

    assert blocks[1] == SENTENCE
    assert blocks[3] == "#### More"
    assert blocks[4].endswith("· [report](<https://ci.example/run/1?a=b&c=(d)%3E%20[x](y)%0A>)\n")
    assert len(re.findall("<a ", rendered(text))) == 1


def test_whatever_there_is_fits_a_comment():
    """Failures are kept where not all rows are; nothing is cut in the middle of a row."""
    rows = [limit("@" * 500) for _ in range(100)] + [limit("last", FAILED)]
    text = markdown.of_check(
        found(*rows, findings=["@" * 9000] * 50, notes=["#" * 9000] * 50), "@" * 900, ["x" * 70_000]
    )
    many = markdown.of_check(found(*rows))

    assert len(text) < 65_536
    assert "More is left out" in text
    assert "61 more rows are left out." in many
    assert "<code>p95 of last</code>" in many.splitlines()[5]
