"""Rows that readers get from the runs database: runs, summaries, failures, judgements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from swarmscope.runs.selection import OPTION, Endpoint

AFTER_RAMP_UP = "after_ramp_up"  # a scope of SQL's `judged_span`; the others are the whole run


@dataclass(frozen=True)
class Run:
    """A row of the view `run`: latencies in ms, None where nothing finished.

    *scope_text* names the span of the run that its figures cover, *objective_requests* is how many
    requests it takes to judge the objective, *left_out* how many of `requests` do not count for it.
    """

    run_id: datetime
    run: str
    testplan: str
    scenario: str | None
    profile_name: str | None
    description: str | None
    env: str
    host: str | None
    username: str | None
    status: str
    complete: bool
    started: datetime
    ramp_up_complete: datetime | None
    ended: datetime | None
    duration_s: float | None
    target_users: int | None
    peak_users: int | None
    requests: int | None
    failures: int | None
    fail_ratio: float | None
    requests_per_s: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    objective_met: bool | None
    scope: str | None
    scope_text: str | None
    objective_quantile: float
    objective_ms: float
    objective_fail_ratio: float
    objective_requests: int
    capacity_search: bool
    workers: int
    unfinished_workers: int
    lost_workers: int
    dropped: int
    clock_skewed: int
    corrected: int
    after_stop: int
    left_out: int

    @property
    def why_incomplete(self) -> str:
        """Why the run is not complete, in words."""
        if self.status == "running":
            return "the run is still running"
        lost = f", {self.lost_workers} lost" if self.lost_workers else ""
        waiting = f"{self.unfinished_workers} of {self.workers} workers have not delivered"
        return f"the run is not complete: {waiting}{lost}"

    def why_not_judged(self, requests: int, left_out: int) -> str:
        """Return why *requests*, some of them *left_out*, do not decide the objective."""
        if self.capacity_search:
            return "a capacity search exceeds it on purpose; the verdict says where it held"
        if left_out:
            return (
                f"{left_out:,} of {requests:,} requests do not count for it (not HTTP, or excluded"
                f" by {OPTION}); `swarmscope check` judges the others"
            )
        return f"{requests:,} requests are too few, {self.objective_requests:,} are needed"


@dataclass(frozen=True)
class Judgement:
    """A verdict of a capacity search, or of the generator's health: a sentence and its figures."""

    text: str
    details: dict[str, Any]


@dataclass(frozen=True)
class TaskError:
    """An exception that tasks raised, with its place, and how often; it is no failed request."""

    error: str
    count: int


@dataclass(frozen=True)
class FailureGroup:
    """Requests of one endpoint that failed with the same text; *first* and *last* are starts."""

    failures: int
    name: str
    request_type: str
    error: str | None
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Summary:
    """One part of one endpoint's latency; name and request_type are '' for all endpoints.

    Latencies, in ms, are of the requests that have one; None where none has.
    """

    name: str
    request_type: str
    part: str
    requests: int
    failures: int
    fail_ratio: float
    requests_per_s: float
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    since: datetime
    until: datetime
    scope: str
    scope_text: str
    objective_met: bool | None
    left_out: int = 0  # of `requests`: they do not count for the objective

    @property
    def endpoint(self) -> Endpoint:
        """Its name and request type."""
        return self.name, self.request_type

    @property
    def is_whole(self) -> bool:
        """Whether these are figures of the whole run."""
        return self.scope != AFTER_RAMP_UP

    @property
    def windows(self) -> tuple[datetime, datetime]:
        """The whole seconds, from and until, whose windows make up these figures."""
        second = timedelta(seconds=1)
        return self.since.replace(microsecond=0), self.until.replace(microsecond=0) + second


@dataclass(frozen=True)
class ComponentSummary:
    """One of `histogram.COMPONENTS`, in ms, or of `histogram.CALLS`, in numbers, of one endpoint.

    Figures are of all *requests* whose components were measured, with zeros for those that did
    without; *used* is how many had any.
    """

    name: str
    request_type: str
    part: str
    requests: int
    used: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    since: datetime
    until: datetime
    scope: str
    scope_text: str
