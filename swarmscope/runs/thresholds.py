"""Thresholds of a run, and the outcomes of judging a run by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swarmscope.redaction import stored_name
from swarmscope.runs import sample_size
from swarmscope.runs.histogram import CALLS, COMPONENTS

if TYPE_CHECKING:
    from swarmscope.runs.model import ComponentSummary, Run, Summary

PASSED, FAILED, NOT_JUDGED = "passed", "failed", "not judged"
CHECK_FAILED, CANNOT_TELL = 3, 4  # exit statuses; the first as in locust-plugins' checks
MAX_NAMED = 5  # endpoints that a reason lists

EARLY = ("time", "users", "stopped", "silence", "error")  # endings of a search without its answer
NO_LIMIT_OF_THE_SERVICE = {  # endings of a search that did not find one
    "generator": "the load generator was the limit",
    "bound": "the largest number of users held",
}

RUN_DELAY, PROMQL = "run_delay", "promql"
USES = {  # of which resource each limits the use
    "workers-use": "workers",
    "python-use": "python",
    "cpu-use": "cpu",
    "memory-use": "memory",
    "pool-use": "pool",
    "database-use": "database",
    "connections-use": "database_connections",
    "files-use": "files",
    "generator-use": "generator",
    "setting-use": "setting",
}

EARLY_END = "the run was ended early"  # by --check-abort

WHOLE_RUN = "whole run"
AFTER_RAMP_UP = "after ramp-up"


@dataclass(frozen=True)
class Metric:
    """A figure that a threshold can limit, and its place in a run's summary."""

    label: str
    unit: str
    part: str = "response"
    figure: str = ""
    at_least: bool = False  # the limit is a minimum, not a maximum
    everywhere: bool = True  # also for a single endpoint
    max: float = math.inf
    quantile: float | None = None
    resource: str = ""  # a kind of resource, RUN_DELAY or PROMQL: not a figure of requests

    @property
    def metavar(self) -> str:
        """What stands for its limit in help texts."""
        return "EXPR<=NUMBER" if self.resource == PROMQL else self.unit.upper() or "NUMBER"

    @property
    def condition(self) -> str:
        """When a run fails, in words."""
        if self.resource == PROMQL:
            return "the mean of EXPR exceeds NUMBER (with >=: is below it)"
        return f"{self.label} {'is below' if self.at_least else 'exceeds'} {self.metavar}"

    @property
    def also(self) -> str:
        """For what else than all together a limit may be, with an example."""
        if self.resource:
            number = "80%" if self.unit == "share" else "5"
            return "" if self.resource == PROMQL else f", also for one service: 'shop={number}'"
        return ", also for one endpoint: 'GET /tests=300'"

    def requests_needed(self, limit: float) -> int:
        """Return how many requests it takes to judge the figure."""
        if self.quantile is not None:
            return sample_size.requests_for_quantile(self.quantile)
        return sample_size.requests_for_share(limit) if self.unit == "share" else 1


METRICS = {
    "p50": Metric("p50", "ms", figure="p50_ms", quantile=0.5),
    "p95": Metric("p95", "ms", figure="p95_ms", quantile=0.95),
    "p99": Metric("p99", "ms", figure="p99_ms", quantile=0.99),
    "service-p95": Metric("service p95", "ms", part="service", figure="p95_ms", quantile=0.95),
    "queue-p95": Metric("queue p95", "ms", part="queue", figure="p95_ms", quantile=0.95),
    **{
        f"{part}-p95": Metric(f"{part} p95", "ms", part=part, figure="p95", quantile=0.95)
        for part in COMPONENTS
    },
    **{
        part.replace("_", "-"): Metric(
            f"{part.replace('_', ' ')}/request", "", part=part, figure="mean"
        )
        for part in CALLS
    },
    **{
        name: Metric(name.replace("-", " "), "share", max=1.0, resource=kind)
        for name, kind in USES.items()
    },
    "run-delay": Metric("run delay/request", "ms", resource=RUN_DELAY),
    "promql": Metric("PromQL", "", resource=PROMQL),
    "rps": Metric("requests/s", "", figure="requests_per_s", at_least=True),
    "fail-ratio": Metric("failure ratio", "share", figure="fail_ratio", max=1.0),
    "avg-response-time": Metric("mean response time", "ms", figure="mean_ms"),
    "capacity-users": Metric("capacity", "users", at_least=True, everywhere=False),
}


@dataclass(frozen=True)
class Threshold:
    """A limit of a metric (`METRICS`), of all endpoints together or of one (``GET /tests``).

    Of a resource, `endpoint` is the service or pool, "" for the fullest; of PromQL, the expression.
    """

    metric: str
    limit: float
    endpoint: str = ""
    is_min: bool = False  # of PromQL: the expression must be at least the limit

    @property
    def at_least(self) -> bool:
        """Whether the limit is a minimum."""
        return self.is_min or METRICS[self.metric].at_least

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.metric} {self.text}"

    @property
    def text(self) -> str:
        """The threshold as `parse` reads it."""
        if METRICS[self.metric].resource == PROMQL:
            return f"{self.endpoint}{'>' if self.is_min else '<'}={self.limit!r}"
        return f"{self.endpoint}={self.limit!r}" if self.endpoint else repr(self.limit)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a threshold: *value*, None if there is none, of *requests*."""

    threshold: Threshold
    scope: str
    verdict: str
    value: float | None = None
    requests: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class CheckResult:
    """What `swarmscope check --json` prints."""

    run: str
    complete: bool
    status: int
    notes: list[str]  # what to know before believing any of it
    outcomes: list[Outcome]
    findings: list[str]  # where the time went, unless all thresholds are met


Measured = Callable[[Threshold], tuple[float | None, str]]


def parse(metric: str, text: str) -> Threshold:
    """Parse a threshold: ``450``, or ``GET /tests=300`` for one endpoint.

    The limit follows the last ``=``. An endpoint may be named as in the scenario or as stored,
    without its secrets. Raises ValueError with a line for the user, without the option's name.
    """
    kind = METRICS[metric]
    endpoint, separator, number = text.rpartition("=")
    if kind.resource == PROMQL:
        return _promql(metric, text)
    if separator and not kind.everywhere:
        raise ValueError(f"{text!r}: this cannot be limited for a single endpoint")
    if separator and not endpoint.strip():
        raise ValueError(f"{text!r}: there is no endpoint before the '='")
    return Threshold(metric, _limit(kind, text, number), _stored(endpoint.strip()))


def _promql(metric: str, text: str) -> Threshold:
    """Parse ``EXPR<=NUMBER`` or ``EXPR>=NUMBER``."""
    expression, _, number = text.rpartition("=")
    sign, expression = expression[-1:], expression[:-1].strip()
    if sign not in ("<", ">") or not expression:
        raise ValueError(f'{text!r} is not "EXPR<=NUMBER" or "EXPR>=NUMBER"')
    return Threshold(metric, _limit(METRICS[metric], text, number), expression, sign == ">")


def _stored(endpoint: str) -> str:
    """Return *endpoint* as the runs database names it: without secrets, and not too long."""
    return " ".join(map(stored_name, endpoint.split(" ", 1)))


def _limit(kind: Metric, text: str, number: str) -> float:
    """Return the number, a share also from a percentage."""
    share = kind.unit == "share" and number.strip().endswith("%")
    try:
        limit = float(number.strip().removesuffix("%" if share else "")) / (100 if share else 1)
    except ValueError:
        form = f'a number{_of(kind.unit)}, or "METHOD NAME=NUMBER" for one endpoint'
        raise ValueError(f"{text!r} is not {form if kind.everywhere else 'a number'}") from None
    if not 0 <= limit <= kind.max or math.isinf(limit):
        most = f" and at most {kind.max:g}" if math.isfinite(kind.max) else ""
        raise ValueError(f"{text!r}: the limit must be at least 0{most}")
    return limit


def _of(unit: str) -> str:
    return {"": "", "share": " from 0 to 1 or a percentage"}.get(unit, f" of {unit}")


def judge(
    thresholds: Iterable[Threshold],
    summaries: Sequence[Summary],
    whole: bool = False,
    capacity: Mapping[str, Any] | None = None,
    components: Sequence[ComponentSummary] = (),
    measured: Measured | None = None,
) -> list[Outcome]:
    """Judge a complete run by its summary, and by its verdict if it was a capacity search.

    *whole* is what was requested; the summary has the span that the figures cover. *measured*
    returns the figure of a threshold on a resource, and why there is none.
    """
    return [
        _judge_resource(threshold, summaries, whole, measured)
        if METRICS[threshold.metric].resource
        else _judge(threshold, summaries, components, whole, capacity)
        for threshold in thresholds
    ]


def _judge_resource(
    threshold: Threshold, summaries: Sequence[Summary], whole: bool, measured: Measured | None
) -> Outcome:
    scope = WHOLE_RUN if (summaries[0].is_whole if summaries else whole) else AFTER_RAMP_UP
    value, reason = measured(threshold) if measured and summaries else (None, "nothing finished")
    return judge_value(threshold, scope, value, None, reason)


def _judge(
    threshold: Threshold,
    summaries: Sequence[Summary],
    components: Sequence[ComponentSummary],
    whole: bool,
    capacity: Mapping[str, Any] | None,
) -> Outcome:
    if threshold.metric == "capacity-users":
        return judge_capacity(threshold, capacity, "no capacity was found")
    is_whole = summaries[0].is_whole if summaries else whole
    scope = WHOLE_RUN if is_whole else AFTER_RAMP_UP
    metric = METRICS[threshold.metric]
    totals = [row for row in summaries if row.part == "response" and _is(row, threshold.endpoint)]
    if len(totals) != 1:
        reason = _missing(threshold.endpoint, summaries, len(totals))
        return Outcome(threshold, scope, NOT_JUDGED, reason=reason)
    where = (totals[0].name, totals[0].request_type, metric.part)
    for row in summaries:
        if (row.name, row.request_type, row.part) == where:
            value, reason = getattr(row, metric.figure), "no request has a response time"
            return judge_value(threshold, scope, value, row.requests, reason)
    for component in components:
        if (component.name, component.request_type, component.part) == where:
            value = getattr(component, metric.figure)
            return judge_value(threshold, scope, value, component.requests)
    return Outcome(threshold, scope, NOT_JUDGED, reason=_unsaid(where, summaries))


def _unsaid(where: tuple[str, str, str], summaries: Sequence[Summary]) -> str:
    """Return why the endpoint and part *where* have no figures."""
    name, request_type, part = where
    others = {s.part for s in summaries if (s.name, s.request_type) == (name, request_type)}
    if part == "queue" and "service" in others:
        return "no response had a queue time: requests lacked X-Request-Start, or the clocks differ"
    if part in (*COMPONENTS, *CALLS) and "service" in others:
        name = part.partition("_")[0]
        return f"no response had {name!r} in Server-Timing: nothing used it, or it was not measured"
    return "no response had the service's times (Server-Timing)"


def judge_capacity(threshold: Threshold, verdict: Mapping[str, Any] | None, reason: str) -> Outcome:
    """Judge by the verdict of a capacity search; without one, *reason* says why.

    A search that ended early decides nothing between the users that held and those that broke; one
    whose load generator or largest number of users was the limit, nothing beyond those that held.
    """
    if verdict is None or verdict.get("users") is None:
        return Outcome(threshold, WHOLE_RUN, NOT_JUDGED, reason=reason)
    users, broken = verdict["users"], verdict.get("broken_users")
    limit, why = verdict.get("limit", ""), ""
    if limit in NO_LIMIT_OF_THE_SERVICE:
        why, broken = NO_LIMIT_OF_THE_SERVICE[limit], None  # it was not the service that broke
    elif limit in EARLY:
        why = verdict.get("reason") or "the search ended early"
    if why and users < threshold.limit and (broken is None or threshold.limit < broken):
        bounds = f"at least {users:,}" + ("" if broken is None else f", below {broken:,}")
        return Outcome(threshold, WHOLE_RUN, NOT_JUDGED, reason=f"{why}: {bounds} users")
    return judge_value(threshold, WHOLE_RUN, users, None)


def judge_value(
    threshold: Threshold,
    scope: str,
    value: float | None,
    requests: int | None,
    reason: str = "there are no requests",
) -> Outcome:
    """Compare *value* with the limit; without a value, *reason* says why.

    Too few requests decide nothing, except that more failures than allowed are decisive.
    """
    if value is None:
        return Outcome(threshold, scope, NOT_JUDGED, reason=reason)
    metric, limit = METRICS[threshold.metric], threshold.limit
    holds = value >= limit if threshold.at_least else value <= limit
    needed = metric.requests_needed(limit)
    is_open = metric.quantile is not None or holds
    if requests is not None and requests < needed and is_open:
        reason = (
            f"{requests:,} requests are too few to judge {_named(threshold)}; needed: {needed:,}"
        )
        return Outcome(threshold, scope, NOT_JUDGED, value, requests, reason)
    return Outcome(threshold, scope, PASSED if holds else FAILED, value, requests)


def _named(threshold: Threshold) -> str:
    """Return what a threshold limits, with the limit if that decides how much is needed."""
    metric = METRICS[threshold.metric]
    if metric.unit == "share":
        return f"a share of {threshold.limit * 100:g} %"
    return f"{metric.label} of {threshold.endpoint}" if threshold.endpoint else metric.label


def of_objective(run: Run) -> list[Threshold]:
    """Return the stored objective of a run as thresholds; none for another percentile."""
    found = (n for n, m in METRICS.items() if m.quantile == run.objective_quantile)
    return [
        *(Threshold(name, run.objective_ms) for name in found if METRICS[name].part == "response"),
        Threshold("fail-ratio", run.objective_fail_ratio),
    ]


def endpoint_of(row: Summary) -> str:
    """Return an endpoint's name as in thresholds; '' for all together."""
    return f"{row.request_type} {row.name}".strip()


def _is(row: Summary, endpoint: str) -> bool:
    return endpoint_of(row) == endpoint and bool(endpoint) == bool(row.name or row.request_type)


def _missing(endpoint: str, summaries: Sequence[Summary], found: int) -> str:
    if not summaries:
        return "there are no requests"
    if found:
        return f"several endpoints are called {endpoint!r}"
    names = sorted({endpoint_of(row) for row in summaries} - {""})
    more = ", …" if len(names) > MAX_NAMED else ""
    return f"no requests of {endpoint!r}; there are {', '.join(names[:MAX_NAMED])}{more}"


def unjudged(outcomes: Iterable[Outcome], reason: str) -> list[Outcome]:
    """Return *outcomes* of a run that cannot be judged: with values, without verdicts."""
    return [
        replace(outcome, verdict=NOT_JUDGED, reason=outcome.reason or reason)
        for outcome in outcomes
    ]


def ended_early(outcomes: Iterable[Outcome], lost: str | None = None) -> list[Outcome]:
    """Return *outcomes* of a run that `--check-abort` ended: none of them passed.

    *lost* is the threshold (`Threshold.key`) that could not be met any more; None: another reason.
    """
    return [
        replace(outcome, verdict=FAILED, reason="")
        if outcome.threshold.key == lost
        else replace(outcome, verdict=NOT_JUDGED, reason=EARLY_END)
        if outcome.verdict == PASSED
        else outcome
        for outcome in outcomes
    ]


def exit_status(outcomes: Iterable[Outcome]) -> int:
    """Return 0 if all passed; a failure outranks what could not be judged."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if FAILED in verdicts:
        return CHECK_FAILED
    return CANNOT_TELL if NOT_JUDGED in verdicts else 0
