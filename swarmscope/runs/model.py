"""Rows of the runs database as readers get them: runs, summaries, failures, verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

AFTER_RAMP_UP = "after_ramp_up"  # as `judged_span` of views.sql calls it; any other: the whole run


@dataclass(frozen=True)
class Run:
    """A row of the view `run`: latencies in ms, None where nothing finished.

    *scope_text* says of which part of the run its figures are, *objective_requests* how many
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
    ramp_complete: datetime | None
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
    implausible: int
    corrected: int
    after_stop: int
    left_out: int


@dataclass(frozen=True)
class Judgement:
    """What an event of a run says of it, a verdict or its trust: a sentence and figures."""

    text: str
    details: dict[str, Any]


@dataclass(frozen=True)
class TaskError:
    """An exception that tasks raised, with the place where, and how often."""

    error: str
    count: int


@dataclass(frozen=True)
class Failure:
    """Requests of one endpoint that failed alike: the text, how many, first and last start."""

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
