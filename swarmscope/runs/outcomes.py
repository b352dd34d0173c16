"""Outcomes of checks as text: a table for people, JUnit XML for CI systems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from swarmscope import atomic_files
from swarmscope.formatting import NOTHING, digits, percent, printable
from swarmscope.runs.thresholds import FAILED, METRICS, NOT_JUDGED, PASSED, Outcome, Threshold

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
WORDS = {PASSED: "pass", FAILED: "FAIL", NOT_JUDGED: "not judged"}
HEADINGS = ("check", "limit", "value", "requests", "span", "result")
ALIGNMENT = "<>>><<"  # of their columns


@dataclass(frozen=True)
class Regression:
    """Whether a run regressed: *name* says by how much it may, *text* what did."""

    name: str
    verdict: str
    text: str


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
    limit, value = _limit(outcome.threshold), _figure(outcome.threshold, outcome.value)
    texts = (
        _name(outcome.threshold),
        limit,
        value,
        requests,
        outcome.scope,
        WORDS[outcome.verdict],
    )
    return tuple(map(printable, texts))


def claim(threshold: Threshold) -> str:
    """Return what a threshold demands, such as ``p95 of GET /tests ≤ 300 ms``."""
    return printable(f"{_name(threshold)} {_limit(threshold)}")


def _name(threshold: Threshold) -> str:
    label, endpoint = METRICS[threshold.metric].label, threshold.endpoint
    return f"{label} of {endpoint}" if endpoint else label


def _limit(threshold: Threshold) -> str:
    sign = "≥" if threshold.at_least else "≤"
    return f"{sign} {_figure(threshold, threshold.limit, exact=True)}"


def _figure(threshold: Threshold, value: float | None, exact: bool = False) -> str:
    unit = METRICS[threshold.metric].unit
    if value is None:
        return NOTHING
    if unit == "share":
        return f"{value * 100:g}%" if exact else percent(value)
    number = f"{value:,.10g}" if exact or unit == "users" else digits(value)
    return f"{number} {unit}".strip()


def junit(
    outcomes: Sequence[Outcome],
    run: str,
    findings: Sequence[str] = (),
    regression: Regression | None = None,
) -> str:
    """Return JUnit's XML: a test case per threshold, ``error`` where it could not be judged.

    Failures have *findings* as their text; *regression* is a case of its own.
    """
    verdicts = [outcome.verdict for outcome in outcomes]
    verdicts += [regression.verdict] if regression else []
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(FAILED)),
        "errors": str(verdicts.count(NOT_JUDGED)),
    }
    suites = ElementTree.Element("testsuites", counts)
    name = printable(f"swarmscope {run}".strip())
    suite = ElementTree.SubElement(suites, "testsuite", {"name": name, "skipped": "0"} | counts)
    for outcome in outcomes:
        _case(suite, outcome, findings)
    if regression:
        _case_of(suite, regression)
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


def _case_of(suite: ElementTree.Element, regression: Regression) -> None:
    title = {"classname": "swarmscope.compare", "name": printable(regression.name)}
    case = ElementTree.SubElement(suite, "testcase", title)
    if kind := {FAILED: "failure", NOT_JUDGED: "error"}.get(regression.verdict):
        message = {"message": printable(regression.text), "type": "regression"}
        ElementTree.SubElement(case, kind, message)


def publish(text: str, environ: Mapping[str, str]) -> None:
    """Append *text*, of Markdown, where GitHub names a file for a job's summary.

    Raises `atomic_files.Unwritable`.
    """
    if summary := environ.get(SUMMARY_VARIABLE):
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            reason = f"{SUMMARY_VARIABLE} ({summary}) cannot be written: {error.strerror}"
            raise atomic_files.Unwritable(reason) from error
