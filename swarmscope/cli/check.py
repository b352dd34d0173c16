"""The verb ``check``: whether a finished run met its thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from swarmscope.cli import tables
from swarmscope.cli._shared import (
    JUDGING,
    database_option,
    json_option,
    one_line_errors,
    print_json,
    reading,
    run_argument,
    wait_option,
    whole_option,
)
from swarmscope.cli.check_files import Checked, Files
from swarmscope.cli.compare import compared, complete, percentage, print_changes
from swarmscope.cli.tables import harmless
from swarmscope.cli.waiting import capture_to_come, settled, to_come
from swarmscope.formatting import errors_in_tasks
from swarmscope.home import locate_prometheus
from swarmscope.runs import (
    assembly,
    bundles,
    captures,
    judged_summary,
    outcomes,
    queries,
    thresholds,
)
from swarmscope.runs.connection import Connection
from swarmscope.runs.judged_resources import JudgedTime
from swarmscope.runs.judged_summary import JudgedSummary
from swarmscope.runs.model import Run
from swarmscope.runs.selection import Selection
from swarmscope.runs.thresholds import CANNOT_TELL, CHECK_FAILED, CheckResult, Threshold
from swarmscope.runs.trend import gate


@dataclass(frozen=True)
class Criteria:
    """What a run is checked against; *requests* is None where the run itself says which count."""

    thresholds: list[Threshold]
    whole: bool
    requests: str | None
    against: str | None = None
    baseline: str | None = None  # a run, or a file with one
    max_regression: float | None = None  # a share

    @property
    def selection(self) -> Selection | None:
        """Which requests count, if the caller said so."""
        return None if self.requests is None else Selection.parse(self.requests)

    @property
    def of_resources(self) -> bool:
        """Whether a threshold is on a resource: then Prometheus may have to be asked."""
        return any(thresholds.METRICS[limit.metric].resource for limit in self.thresholds)


def _parsed(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
    metric = str(parameter.name).replace("_", "-")
    try:
        return [thresholds.parse(metric, text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _threshold_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each metric, in the order of the table."""
    for name, metric in reversed(thresholds.METRICS.items()):
        words = f"Fail if {metric.condition}."
        option = click.option(
            f"--{name}", multiple=True, metavar=metric.metavar, callback=_parsed, help=words
        )
        command = option(command)
    return command


@click.command()
@run_argument
@_threshold_options
@whole_option
@click.option(
    "--requests",
    metavar="PATTERNS",
    help="Requests that count, by type or name  [default: those of --slo-requests in Locust]",
)
@click.option(
    "--against",
    metavar="LABEL",
    help="Fail if a p95 exceeds what earlier runs of LABEL lead one to expect: a branch,"
    " environment or version, or a directory with files of `export --bundle`.",
)
@click.option(
    "--baseline",
    metavar="RUN|FILE",
    help="Compare with this run, or the one in a file of `export --bundle`.",
)
@click.option(
    "--max-regression",
    metavar="PERCENT",
    callback=percentage,
    help="Fail if anything regressed from the baseline by more than PERCENT, beyond noise.",
)
@wait_option
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the outcomes as JUnit XML.",
)
@click.option(
    "--markdown",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the outcomes as Markdown for a pull request's comment; - is standard output.",
)
@click.option("--title", default="", metavar="TEXT", help="Its title  [default: the run's plan]")
@click.option("--report-url", default="", metavar="URL", help="Where its readers find the report.")
@json_option
@database_option
@one_line_errors()
def check(
    run: str,
    whole: bool,
    requests: str | None,
    against: str | None,
    baseline: str | None,
    max_regression: float | None,
    patience_s: float,
    junit: Path | None,
    markdown: Path | None,
    title: str,
    report_url: str,
    as_json: bool,
    database: str | None,
    **given: list[Threshold],
) -> None:
    """Check a run against thresholds.

    RUN is latest (the default), latest~1, an id, or the beginning of an id. A threshold may be
    repeated, and "METHOD NAME=LIMIT" sets one for a single endpoint. Without any, the run is
    checked against its own objective, as --slo-p95 and --slo-fail-ratio set it in Locust. With
    --against, limits come from earlier runs of the same plan, load and machine (docs/trend.md).
    With --baseline, the run is also compared with another one, as `swarmscope compare` does it.

    Exit status: 0 if every threshold is met and nothing regressed by more than --max-regression, 3
    if not, 4 if that cannot be judged, 2 if there is no such run. If GITHUB_STEP_SUMMARY names a
    file, what --markdown writes is appended to it.

    \b
    Examples:
      swarmscope check latest --p95 450 --fail-ratio 1%
      swarmscope check --p95 "GET /tests=300" --service-p95 200
      swarmscope check --db-calls "GET /orders=5" --db-p95 40
      swarmscope check --against main
      swarmscope check --baseline baseline.zip --max-regression 10% --markdown comment.md
    """
    wanted = [threshold for group in given.values() for threshold in group]
    files = Files(junit, markdown, title, report_url, as_json)
    files.refuse_unwritable()
    if max_regression is not None and not baseline:
        raise click.UsageError("--max-regression needs a --baseline")
    criteria = Criteria(wanted, whole, requests, against, baseline, max_regression)
    awaited = capture_to_come if criteria.of_resources else to_come
    found = settled(database, run, patience_s, awaited, **JUDGING)
    answer = _judge(database, found, criteria)
    if answer.status:
        settled(database, found, patience_s, capture_to_come, **JUDGING)
        answer = replace(answer, findings=[*_cause(database, found, whole), *answer.findings])
    files.write(answer, Path(baseline or "").name)
    if as_json:
        print_json(answer)
    elif not files.prints:
        _print(answer)
    click.get_current_context().exit(answer.status)


def _cause(where: str | None, wanted: str, whole: bool) -> list[str]:
    """Return the sentence that names what was full in a run that missed its objective."""
    with reading(where, **JUDGING) as connection:
        run = queries.find(connection, wanted)
        known = captures.prometheus_of(connection, run.run_id, locate_prometheus())
        services = assembly.ask_prometheus(known)
        made = assembly.assemble(connection, run.run_id, whole, services, slowest=False)
    return [made.cause.sentence] if made.cause else []


def _print(answer: Checked) -> None:
    console = Console(highlight=False)
    console.print(tables.outcomes_table(answer.outcomes))
    for reason in outcomes.reasons(answer.outcomes):
        console.print(reason, markup=False)
    for note in answer.notes:
        console.print(harmless(f"Note: {note}"))
    for finding in answer.findings:
        console.print(harmless(finding))
    if answer.comparison:
        console.print(f"\nA: {answer.comparison.a.run}\nB: {answer.run}", markup=False)
        print_changes(console, answer.comparison)


def _judge(where: str | None, wanted: str, criteria: Criteria) -> Checked:
    name = criteria.baseline
    files = bundles.within(criteria.against) if criteria.against else []
    with (
        reading(where, **JUDGING) as connection,
        bundles.loaded(connection, [*filter(None, [name]), *files]) as runs,
    ):
        run = queries.find(connection, wanted)
        result = _result(connection, run, criteria, [runs[file] for file in files])
        if not name:
            return Checked(**vars(result), plan=run.testplan)
        baseline = complete(queries.find(connection, runs[name]), name)
        pair = (baseline, complete(run, wanted))
        comparison = compared(connection, *pair, criteria.whole, criteria.max_regression)
    statuses = {result.status, comparison.status}
    worst = next((status for status in (CHECK_FAILED, CANNOT_TELL) if status in statuses), 0)
    whole = replace(result, status=worst)
    return Checked(**vars(whole), plan=run.testplan, comparison=comparison)


def _result(connection: Connection, run: Run, criteria: Criteria, files: list[str]) -> CheckResult:
    selection = criteria.selection or queries.selection(connection, run.run_id)
    summary = judged_summary.summary(connection, run.run_id, criteria.whole, selection)
    verdict = queries.verdict(connection, run.run_id)
    notes = _notes(connection, run, summary, criteria.whole)
    used = _used(connection, run, summary) if criteria.of_resources else None
    against = criteria.against
    expected = gate.expected(connection, run, against, files) if against else None
    capacity = verdict.details if verdict else None
    limits = [*criteria.thresholds, *(expected.limits if expected else [])]
    if expected:
        notes.append(expected.words)
    elif not limits:
        limits = thresholds.of_objective(run)
    figures = summary.rows, criteria.whole, capacity, summary.components
    found = thresholds.judge(limits, *figures, used.figure if used else None)
    found = [summary.explain(outcome) for outcome in found]
    if not run.complete:
        found = thresholds.unjudged(found, run.why_incomplete)
    elif not criteria.thresholds and run.capacity_search:
        why = run.why_not_judged(run.requests or 0, run.left_out)
        found = thresholds.unjudged(found, f"the run's own objective: {why}")
    if early := queries.ended_early(connection, run.run_id):
        notes.insert(0, f"{early.text}.")
        found = thresholds.ended_early(found, early.details.get("lost"))
    status = thresholds.exit_status(found)
    if (early or (expected and not expected.limits)) and status == 0:
        status = CANNOT_TELL
    findings = summary.findings() if status else []
    return CheckResult(run.run, run.complete, status, notes, found, findings)


def _used(connection: Connection, run: Run, summary: JudgedSummary) -> JudgedTime | None:
    """Return what is known of the resources over the time that is judged."""
    if not summary.rows:
        return None
    known = captures.prometheus_of(connection, run.run_id, locate_prometheus())
    capture = assembly.captured(connection, run, assembly.ask_prometheus(known))
    return JudgedTime(capture, summary.rows[0].since, summary.rows[0].until, known)


def _notes(connection: Connection, run: Run, summary: JudgedSummary, whole: bool) -> list[str]:
    """Return sentences to read before believing the outcomes."""
    trust = assembly.trust(connection, run.run_id)
    errors = sum(row.count for row in queries.task_errors(connection, run.run_id))
    rows = summary.rows
    notes = (
        summary.left_out,
        f"{run.dropped:,} samples were dropped." if run.dropped else "",
        f"{run.corrected:,} start times outside the run were corrected." if run.corrected else "",
        f"{run.after_stop:,} requests after the stop are not counted." if run.after_stop else "",
        f"{errors_in_tasks(errors)}." if errors else "",
        trust.text if trust and not trust.trusted else "",
        f"{rows[0].scope_text}." if not whole and rows and rows[0].is_whole else "",
    )
    return [note for note in notes if note]
