"""Outcomes of checks as text: a table for people, JUnit XML for CI systems, Markdown for GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from swarmscope import atomic_files
from swarmscope.formatting import NOTHING, digits, percent, printable
from swarmscope.runs.thresholds import FAILED, METRICS, NOT_JUDGED, PASSED, Outcome

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
WORDS = {PASSED: "pass", FAILED: "FAIL", NOT_JUDGED: "not judged"}
HEADINGS = ("check", "limit", "value", "requests", "span", "result")
ALIGNMENT = "<>>><<"  # of their columns


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a row per threshold, as plain text: the terminal wraps what is too long."""
    rows = [HEADINGS, *map(cells, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns = zip(ALIGNMENT, widths, strict=True)
    line = "  ".join(f"{{:{side}{width}}}" for side, width in columns)
    return "\n".join(line.format(*row).rstrip() for row in rows)


def reasons(outcomes: Sequence[Outcome]) -> list[str]:
    """Return why some were not judged, each reason once and fit to be printed."""
    given = (printable(f"Not judged: {o.reason}.") for o in outcomes if o.reason)
    return list(dict.fromkeys(given))


def cells(outcome: Outcome) -> tuple[str, ...]:
    """Return an outcome's text under each of `HEADINGS`, fit to be printed."""
    requests = "" if outcome.requests is None else f"{outcome.requests:,}"
    limit, value = _limit(outcome), _figure(outcome, outcome.value)
    texts = (_name(outcome), limit, value, requests, outcome.scope, WORDS[outcome.verdict])
    return tuple(map(printable, texts))


def _name(outcome: Outcome) -> str:
    label, endpoint = METRICS[outcome.threshold.metric].label, outcome.threshold.endpoint
    return f"{label} of {endpoint}" if endpoint else label


def _limit(outcome: Outcome) -> str:
    sign = "≥" if outcome.threshold.at_least else "≤"
    return f"{sign} {_figure(outcome, outcome.threshold.limit, exact=True)}"


def _figure(outcome: Outcome, value: float | None, exact: bool = False) -> str:
    unit = METRICS[outcome.threshold.metric].unit
    if value is None:
        return NOTHING
    if unit == "share":
        return f"{value * 100:g}%" if exact else percent(value)
    number = f"{value:,.10g}" if exact or unit == "users" else digits(value)
    return f"{number} {unit}".strip()


def junit(outcomes: Sequence[Outcome], run: str, findings: Sequence[str] = ()) -> str:
    """Return JUnit's XML: a test case per threshold, ``error`` where it could not be judged.

    Failures have *findings* as their text.
    """
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(sum(outcome.verdict == FAILED for outcome in outcomes)),
        "errors": str(sum(outcome.verdict == NOT_JUDGED for outcome in outcomes)),
    }
    suites = ElementTree.Element("testsuites", counts)
    name = printable(f"swarmscope {run}".strip())
    suite = ElementTree.SubElement(suites, "testsuite", {"name": name, "skipped": "0"} | counts)
    for outcome in outcomes:
        _case(suite, outcome, findings)
    ElementTree.indent(suites)
    content: bytes = ElementTree.tostring(suites, "utf-8", xml_declaration=True)
    return content.decode() + "\n"


def _case(suite: ElementTree.Element, outcome: Outcome, findings: Sequence[str]) -> None:
    name, limit, value, _, scope, _ = cells(outcome)
    title = {"classname": "swarmscope.checks", "name": f"{name} {limit} ({scope})"}
    case = ElementTree.SubElement(suite, "testcase", title)
    if outcome.verdict == FAILED:
        message = {"message": f"{name} is {value}, the limit is {limit}", "type": "threshold"}
        failure = ElementTree.SubElement(case, "failure", message)
        failure.text = "\n".join(map(printable, findings)) or None
    elif outcome.verdict == NOT_JUDGED:
        message = {"message": printable(outcome.reason), "type": "not judged"}
        ElementTree.SubElement(case, "error", message)


def markdown(outcomes: Sequence[Outcome], run: str, findings: Sequence[str] = ()) -> str:
    """Return a heading, a table and *findings* in GitHub's Markdown."""
    rows = [HEADINGS, ("---", *["---:"] * 3, "---", "---")]
    rows += [tuple(map(_literal, cells(outcome))) for outcome in outcomes]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = "".join(f"\n{_literal(text)}\n" for text in (*reasons(outcomes), *findings))
    heading = f"### Checks of the run {_literal(run)}" if run else "### Checks"
    return "\n".join([heading, "", *lines, notes])


def _literal(text: str) -> str:
    """Return *text* so that Markdown sees nothing but characters in it.

    A character reference never counts as markup (CommonMark 0.31, 6.2 note after example 41).
    """
    return "".join(c if c.isalnum() or c in " ,/" else f"&#{ord(c)};" for c in printable(text))


def publish(
    outcomes: Sequence[Outcome],
    run: str,
    junit_file: Path | None,
    environ: Mapping[str, str],
    findings: Sequence[str] = (),
) -> None:
    """Write what was requested: *junit_file*, and a summary where GitHub names a file for it.

    Raises `atomic_files.Unwritable`.
    """
    if junit_file:
        atomic_files.write(junit_file, junit(outcomes, run, findings))
    if summary := environ.get(SUMMARY_VARIABLE):
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(markdown(outcomes, run, findings))
        except OSError as error:
            reason = f"{SUMMARY_VARIABLE} ({summary}) cannot be written: {error.strerror}"
            raise atomic_files.Unwritable(reason) from error
