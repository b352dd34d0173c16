"""A run in about ten lines of plain text: the end of a headless run, and ``show --brief``."""

from __future__ import annotations

from collections.abc import Iterator

from swarmscope.formatting import (
    count,
    digits,
    duration,
    errors_in_tasks,
    limits,
    percent,
    printable,
)
from swarmscope.runs.document import Document, Endpoint, Latency, ObjectiveResult
from swarmscope.runs.time_spent import division

PARTS = {"response": "response time", "service": "  service", "queue": "  queue"}
PARTS |= {"receiving": "  receiving", "outside": "  outside", "uncorrected": "uncorrected"}
AROUND = ("receiving", "outside")  # of which the line about the means says enough, if there is one
WIDTH = max(map(len, PARTS.values()))
PERCENTILES = ("p50", "p95", "p99", "max")
NO_TRUST = "not measured: the generator reported nothing after ramp-up"


def lines(document: Document) -> list[str]:
    """Return what *document* says of a run, one fact a line; latencies in ms."""
    return [f"{label:{WIDTH}}  {printable(text)}" for label, text in _facts(document) if text]


def _facts(document: Document) -> Iterator[tuple[str, str]]:
    """Yield a label and its text; one that is empty has nothing to say."""
    run, completeness = document.run, document.completeness
    state = "" if completeness.complete else f", {run.status}, incomplete"
    yield "run", f"{run.id} of {run.testplan}{state}"
    yield "ended", f"{document.ended_early}." if document.ended_early else ""
    yield "figures", _span(document)
    if document.totals:
        yield from _figures(document.totals, run.peak_users)
    yield from _times(document)
    yield "failed", _failures(document)
    yield "errors", _task_errors(document)
    yield "objective", _objective(document.objective) if document.totals else ""
    yield "verdict", document.verdict.text if document.verdict else ""
    yield "cause", document.unsaid_cause
    yield "trust", document.trust.text if document.trust else NO_TRUST
    yield from (("note", text) for text in document.notes)
    yield "more", f"swarmscope show {run.id}"
    yield "dashboard", document.grafana_url or ""


def _span(document: Document) -> str:
    if document.since_s is None:
        return "no request finished"
    return f"{document.scope_text}, {duration(document.since_s)} to {duration(document.until_s)}"


def _figures(totals: Endpoint, users: int | None) -> Iterator[tuple[str, str]]:
    yield "requests", f"{count(totals.requests)}, {digits(totals.requests_per_s)}/s"
    yield "users", f"{count(users)} at most"
    for part, label in PARTS.items():
        latency: Latency | None = getattr(totals, part)
        if latency and not (part in AROUND and division(totals)):
            figures = [(p, digits(getattr(latency, f"{p}_ms"))) for p in PERCENTILES]
            yield label, "  ".join(f"{name} {figure:>6}" for name, figure in figures) + " ms"


def _times(document: Document) -> Iterator[tuple[str, str]]:
    """Yield where the time went, a sentence a line; only the first has a label."""
    divided = division(document.totals) if document.totals else ""
    texts = [text for text in (divided, *document.findings) if text]
    yield from zip(["time", *[""] * len(texts)], texts, strict=False)


def _failures(document: Document) -> str:
    """Return the share of failures, and the error that was most frequent in the whole run."""
    if not document.totals:
        return ""
    text = f"{percent(document.totals.fail_ratio)}, {count(document.totals.failures)} requests"
    if not document.errors:
        return text
    first = document.errors[0]
    endpoint = f"{first.request_type} {first.name}".strip()
    return f"{text}; most often {endpoint}: {first.error} ({count(first.failures)})"


def _task_errors(document: Document) -> str:
    raised = sum(error.count for error in document.task_errors)
    return errors_in_tasks(raised) if raised else ""


def _objective(found: ObjectiveResult) -> str:
    text = limits(found.quantile, found.limit_ms, found.fail_ratio)
    if found.met is None:
        return f"not judged ({text}): {found.reason}"
    return f"{'met' if found.met else 'missed'} ({text})"
