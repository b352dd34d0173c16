"""Outcomes for people, CI systems and GitHub, whatever the names in them are."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from rich.console import Console

from swarmscope import atomic_files
from swarmscope.cli.tables import outcomes_table
from swarmscope.runs import outcomes
from swarmscope.runs.outcomes import Regression
from swarmscope.runs.thresholds import FAILED, NOT_JUDGED, PASSED, Outcome, Threshold

HOSTILE = (
    'GET /<script>&"]]>|`[x](y)![i](http://evil/)*_~#\n\r\t\x00\x1b[31m\x85\ufffe\udc80\u202e'
    "@everyone --> <!-- &lt; \\| http://evil.example www.evil.example"
)
FOUND = [
    Outcome(Threshold("p95", 450.0), "after ramp-up", PASSED, 312.3, 12345),
    Outcome(Threshold("p95", 300.0, HOSTILE), "after ramp-up", FAILED, 300.4, 5),
    Outcome(Threshold("fail-ratio", 0.001), "whole run", FAILED, 0.0121, 12345),
    Outcome(Threshold("rps", 100.0, "GET /x"), "after ramp-up", NOT_JUDGED, reason=HOSTILE),
]


def printed(columns: int) -> str:
    console = Console(width=columns, file=io.StringIO())
    console.print(outcomes_table(FOUND))
    return console.file.getvalue()


def test_the_table():
    """A row for each: what, its limit, its value, of how many requests and of which time."""
    lines = [" ".join(line.split()) for line in printed(600).splitlines()]

    assert lines[0] == "check limit value requests span result"
    assert lines[1] == "p95 ≤ 450 ms 312 ms 12,345 after ramp-up pass"
    assert lines[3] == "failure ratio ≤ 0.1% 1.21% 12,345 whole run FAIL"
    assert lines[4] == "requests/s of GET /x ≥ 100 – after ramp-up not judged"
    assert all(c == "\n" or c.isprintable() for c in printed(80))
    assert max(map(len, printed(80).splitlines())) <= 80


def test_the_plain_table():
    """The same rows in aligned columns, whatever the names are; numbers to the right."""
    heading, first, *others = outcomes.table(FOUND).splitlines()

    assert [" ".join(line.split()) for line in (heading, first, *others)] == [
        " ".join(line.split()) for line in printed(600).splitlines()
    ]
    assert heading.index("limit") + len("limit") == first.index("450 ms") + len("450 ms")
    assert heading.index("result") == first.index("pass")
    assert all(line.isprintable() for line in (heading, first, *others))


def test_junit_is_well_formed_whatever_the_names_are():
    """A case for each threshold; failures and what could not be judged are counted apart."""
    suites = ElementTree.fromstring(outcomes.junit(FOUND, HOSTILE).encode())
    (suite,) = suites

    assert suites.attrib == {"tests": "4", "failures": "2", "errors": "1"}
    assert [[child.tag for child in case] for case in suite] == [
        [],
        ["failure"],
        ["failure"],
        ["error"],
    ]
    assert suite[0].get("name") == "p95 ≤ 450 ms (after ramp-up)"
    assert suite[2][0].get("message") == "failure ratio is 1.21%, the limit is ≤ 0.1%"
    assert '/<script>&"]]>|`[x](y)' in suite[1].get("name", "")
    assert r"\x00\x1b[31m\x85\ufffe\udc80\u202e" in suite[3][0].get("message", "")


def test_a_regression_is_a_case_of_its_own():
    """Counted with the others; one that was not certain is an error."""
    regression = Regression("no regression by more than 10 % from base.zip", FAILED, "p95 is worse")
    unknown = Regression("no regression", NOT_JUDGED, HOSTILE)
    suites = ElementTree.fromstring(outcomes.junit(FOUND, "run", (), regression).encode())
    others = ElementTree.fromstring(outcomes.junit(FOUND, "run", (), unknown).encode())

    assert suites.attrib == {"tests": "5", "failures": "3", "errors": "1"}
    assert others.attrib == {"tests": "5", "failures": "2", "errors": "2"}
    assert suites[0][4].get("name") == regression.name
    assert suites[0][4][0].get("message") == "p95 is worse"


def test_a_summary_is_added(tmp_path):
    """Other steps of the job wrote to GitHub's file before."""
    summary = tmp_path / "summary"
    summary.write_text("before\n")

    outcomes.publish("after\n", {"GITHUB_STEP_SUMMARY": str(summary)})

    assert summary.read_text() == "before\nafter\n"


def test_what_cannot_be_written_is_told(tmp_path):
    """GitHub's file names a directory."""
    with pytest.raises(atomic_files.Unwritable, match="GITHUB_STEP_SUMMARY"):
        outcomes.publish("text", {"GITHUB_STEP_SUMMARY": str(tmp_path)})
