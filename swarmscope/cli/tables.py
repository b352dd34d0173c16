"""Runs and summaries as tables, for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from swarmscope.formatting import count, digits, duration, limits, percent, printable
from swarmscope.runs.document import Endpoint, EndpointError, LevelResult, ServiceFigures
from swarmscope.runs.histogram import CALLS, COMPONENTS, PARTS
from swarmscope.runs.model import Run, Summary, TaskError
from swarmscope.runs.outcomes import HEADINGS, cells
from swarmscope.runs.queries import NEWEST_FAILURES
from swarmscope.runs.thresholds import FAILED, NOT_JUDGED, PASSED, Outcome
from swarmscope.runs.time_spent import mean_ms

MAX_FAILURES = 10  # kinds of them, in a table
OUTCOME_STYLES = {PASSED: "green", FAILED: "bold red", NOT_JUDGED: "yellow"}
ADDITIVE = ("queue", *COMPONENTS, "receiving", "outside")  # parts of the response time
NARROW = 100  # characters; a narrower terminal gets fewer columns


def harmless(text: str) -> Text:
    """Return *text* without markup, its control characters escaped."""
    return Text(printable(text))


def state(run: Run) -> str:
    """Return a run's status, and whether it is incomplete."""
    return run.status if run.complete or run.status == "running" else f"{run.status}, incomplete"


def bare_table(texts: Sequence[str], numbers: Sequence[str], after: Sequence[str] = ()) -> Table:
    """Return an empty table without rules: texts left-aligned, numbers right-aligned."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in texts:
        table.add_column(heading, overflow="fold", min_width=8)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in after:
        table.add_column(heading, overflow="fold")
    return table


def runs_table(runs: Iterable[Run], width: int) -> Table:
    """Return a row per run; when narrow, ids are cut to the second, which `show` accepts."""
    narrow = width < NARROW
    wide_only = () if narrow else ("time", "requests")
    table = bare_table(
        ("run", "plan"), ("users", *wide_only, "req/s", "p95 ms", "failed"), ("state",)
    )
    for column in table.columns[:2]:
        column.no_wrap, column.overflow = True, "ellipsis"
    table.columns[1].max_width = width // 4
    for run in runs:
        extra = () if narrow else (duration(run.duration_s), count(run.requests))
        table.add_row(
            run.run[:19] if narrow else run.run,
            harmless(run.testplan),
            count(run.peak_users),
            *extra,
            digits(run.requests_per_s),
            digits(run.p95_ms),
            percent(run.fail_ratio),
            state(run),
        )
    return table


def _endpoint(summary: Summary) -> Text:
    if summary.part != "response":
        return Text(f"  {summary.part}", style="dim")
    return _named(summary.name, summary.request_type)


def _named(name: str, request_type: str) -> Text:
    both = f"{request_type} {name}".strip()
    return harmless(both) if both else Text("all endpoints", style="bold")


def summary_table(summaries: Iterable[Summary], width: int) -> Table:
    """Return a row per endpoint, all together first, each followed by a row per part."""
    narrow = width < NARROW
    wide_only = () if narrow else ("p90",)
    numbers = ("requests", "failed", "req/s", "mean", "p50", *wide_only, "p95", "p99", "max")
    table = bare_table(("endpoint, ms",), numbers)
    order = {part: number for number, part in enumerate(PARTS)}
    for row in sorted(summaries, key=lambda s: (s.name, s.request_type, order[s.part])):
        failed, per_s = percent(row.fail_ratio), digits(row.requests_per_s)
        p90 = () if narrow else (row.p90_ms,)
        latencies = (row.mean_ms, row.p50_ms, *p90, row.p95_ms, row.p99_ms, row.max_ms)
        table.add_row(
            _endpoint(row),
            count(row.requests),
            *((failed, per_s) if row.part == "response" else ("", "")),
            *map(digits, latencies),
        )
    return table


def parts_table(endpoints: Sequence[Endpoint], width: int) -> Table:
    """Return two rows per endpoint, mean and p95 of each part in which any of them spent time."""
    spent = [part for part in ADDITIVE if any(mean_ms(e, part) for e in endpoints)]
    parts = [
        "response",
        *(p for p in spent if width >= NARROW or p not in ("receiving", "outside")),
    ]
    calls = {part: f"{part}_calls" for part in parts if f"{part}_calls" in CALLS}
    heads = [f"{part} (calls)" if part in calls else part for part in parts]
    table = bare_table(("endpoint, mean ms",), heads)
    for row in endpoints:
        numbers = [getattr(row, calls[part]) if part in calls else None for part in parts]
        means = (digits(mean_ms(row, part)) for part in parts)
        cells = (f"{ms} ({digits(n)})" if n else ms for ms, n in zip(means, numbers, strict=True))
        table.add_row(_named(row.name, row.request_type), *cells)
        tails = (getattr(row, part) for part in parts)
        table.add_row(Text("  p95", style="dim"), *(digits(t and t.p95_ms) for t in tails))
    return table


def levels_table(levels: Iterable[LevelResult], width: int) -> Table:
    """Return a row per level of a capacity search, in order."""
    narrow = width < NARROW
    wide_only = () if narrow else ("measured", "requests", "p50")
    numbers = ("users", *wide_only, "req/s", "failed", "p95", "service p95", "queue p95")
    table = bare_table((), numbers, ("result",))
    for level in levels:
        measured = (f"{level.measured_s:.0f} s", count(level.requests), digits(level.p50_ms))
        table.add_row(
            count(level.users),
            *(() if narrow else measured),
            digits(level.requests_per_s),
            percent(level.fail_ratio),
            *map(digits, (level.p95_ms, level.service_p95_ms, level.queue_p95_ms)),
            harmless(_outcome(level)),
        )
    return table


def _outcome(level: LevelResult) -> str:
    own = ""
    if level.broken_endpoint:
        own = f", {level.broken_endpoint} p95 {digits(level.endpoint_p95_ms)}"
    return f"{level.outcome}{own}{', generator saturated' if level.saturated else ''}"


def services_table(services: Iterable[ServiceFigures]) -> Table:
    """Return a row per service of a run: means of all its traffic, in ms."""
    numbers = ("req/s", "failed", "service", "queue", "waiting")
    table = bare_table(("service",), numbers, ("calls",))
    for service in services:
        table.add_row(
            harmless(service.name),
            digits(service.requests_per_s),
            percent(service.error_ratio),
            *map(digits, (service.service_mean_ms, service.queue_mean_ms, service.waiting_ms)),
            harmless(", ".join(call.service or call.host for call in service.calls)),
        )
    return table


def facts_table(
    run: Run,
    verdict: str | None = None,
    task_errors: Sequence[TaskError] = (),
    settings: Mapping[str, Any] | None = None,
    doubt: str | None = None,
    cause: str | None = None,
) -> Table:
    """Return what is known of a run besides its latencies, one fact a row."""
    facts = {
        "run": run.run,
        "plan": run.testplan,
        "scenario": run.scenario,
        "profile": run.profile_name,
        "description": run.description,
        "environment": run.env,
        "host": run.host,
        "started by": run.username,
        "state": state(run),
        "settings": _settings(settings or {}),
        "duration": duration(run.duration_s),
        "users": _users(run),
        **_delivered(run),
        "objective": _objective(run),
        "verdict": verdict,
        "cause": cause,
        "trust": doubt,
        "task errors": _task_errors(task_errors),
    }
    return _known(facts)


def _known(facts: Mapping[str, str | None]) -> Table:
    """Return a row for each fact that has a value."""
    columns = Column(style="bold", no_wrap=True), Column(overflow="fold")
    table = Table.grid(*columns, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        if value:
            table.add_row(name, harmless(value))
    return table


def _delivered(run: Run) -> dict[str, str]:
    """Return what is known of a run's workers and of samples that are lost or incomplete."""
    skewed = (
        f"{count(run.clock_skewed)} clock-skewed samples without parts" if run.clock_skewed else ""
    )
    corrected = f"{count(run.corrected)} start times corrected" if run.corrected else ""
    return {
        "workers": _workers(run),
        "dropped": f"{count(run.dropped)} samples" if run.dropped else "",
        "clock skew": "; ".join(filter(None, (skewed, corrected))),
        "not counted": f"{count(run.after_stop)} requests after the stop" if run.after_stop else "",
    }


def _settings(settings: Mapping[str, Any]) -> str:
    """Return in one line what a run was started with, without what is empty and its host."""
    named = {name: value for name, value in settings.items() if name != "host"}
    return ", ".join(f"{name} {_value(v)}" for name, v in named.items() if v not in (None, "", []))


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _task_errors(errors: Sequence[TaskError]) -> str:
    if not errors:
        return ""
    first = f"{errors[0].error} ({count(errors[0].count)})"
    rest = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{count(sum(error.count for error in errors))}: {first}{rest}"


def _users(run: Run) -> str:
    asked = f" of {count(run.target_users)} requested" if run.target_users else ""
    return f"{count(run.peak_users)}{asked}"


def _workers(run: Run) -> str:
    lost = f", {run.lost_workers} lost" if run.lost_workers else ""
    late = max(run.unfinished_workers - run.lost_workers, 0)
    waiting = f", {late} not delivered yet" if late else ""
    return f"{run.workers}{lost}{waiting}" if run.workers else ""


def failures_table(failures: Sequence[EndpointError]) -> Table:
    """Return a row per kind of failure, the most frequent first; at most `MAX_FAILURES`."""
    table = bare_table((), ("failures",), ("endpoint", "error"))
    for row in failures[:MAX_FAILURES]:
        endpoint = harmless(f"{row.request_type} {row.name}".strip())
        table.add_row(count(row.failures), endpoint, harmless(row.error or "–"))
    if len(failures) > MAX_FAILURES:
        table.add_row("…", "", "more in `show --json` and on the run's page")
    return table


def outcomes_table(found: Iterable[Outcome]) -> Table:
    """Return a row per threshold."""
    table = bare_table(HEADINGS[:1], HEADINGS[1:4], HEADINGS[4:])
    for outcome in found:
        *texts, result = cells(outcome)
        table.add_row(*map(Text, texts), Text(result, style=OUTCOME_STYLES[outcome.verdict]))
    return table


def _objective(run: Run) -> str:
    """Return the run's objective and whether it was met, or why it was not judged."""
    text = limits(run.objective_quantile, run.objective_ms, run.objective_fail_ratio)
    if run.objective_met is not None:
        return f"{'met' if run.objective_met else 'missed'} ({text})"
    if run.requests is None:
        return ""
    return f"not judged ({text}): {run.why_not_judged(run.requests, run.left_out)}"


def span(summaries: Sequence[Summary], run: Run, errors: Sequence[EndpointError] = ()) -> str:
    """Return in words which part of a run the figures and the list of failures cover."""
    if not summaries:
        return "No request finished in this run."
    first = summaries[0]
    since, until = (duration(_elapsed_s(run, at)) for at in (first.since, first.until))
    failures = ""
    if sum(error.failures for error in errors) >= NEWEST_FAILURES:
        failures = f" The newest {NEWEST_FAILURES:,} failures are listed."
    elif errors and not first.is_whole:
        failures = " Failures are listed for the whole run."
    return f"{first.scope_text} ({since} to {until}).{failures}"


def _elapsed_s(run: Run, moment: datetime) -> float:
    """Return the seconds since the run's start, which is inside the first second's window."""
    return max(0.0, (moment - run.started).total_seconds())
