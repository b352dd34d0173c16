"""One run as one document: what pages, reports and other programs read instead of the database.

`docs/run-document.md` describes it. Latencies are in ms, points of the time axis in seconds since
the run's start. A figure that nobody measured is None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

VERSION = 1  # of the format: raised when a field goes or changes its meaning, not when one is added
MOST_POINTS = 600
MOST_ERRORS = 50
MOST_EVENTS = 200


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Who ran what, when, against what, with which versions; everything but figures."""

    id: str  # the start, ISO 8601 in UTC with microseconds
    testplan: str
    scenario: str | None  # user classes, and the shape if there is one
    profile: str | None
    description: str | None
    environment: str
    test_version: str | None
    host: str | None
    username: str | None
    repository: str | None
    arguments: str | None
    settings: dict[str, Any] | None  # what it was started with: users, spawn_rate, run_time, host …
    versions: dict[str, str]  # of swarmscope, locust, python …
    status: str  # running, finished or aborted
    exit_code: int | None
    started: datetime
    ramp_complete: datetime | None
    ended: datetime | None
    duration_s: float | None
    target_users: int | None
    peak_users: int | None


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """Whether all of the run is there, and what is missing."""

    complete: bool  # over, and every journal that took part has been delivered
    workers: int
    unfinished_workers: int
    lost_workers: int
    dropped: int  # samples for which there was no room
    implausible: int  # samples without parts: clocks differ
    corrected: int = 0  # starts outside the run, replaced by the end less the duration
    after_stop: int = 0  # requests that finished after their worker's stop: in no figure


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The run's limit on client latency and failures, and whether the totals met it.

    `met` is None where that was not judged; `reason` says why.
    """

    quantile: float
    limit_ms: float
    fail_ratio: float
    met: bool | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A capacity run's answer: its sentence, and the figures of `client.capacity.verdict`."""

    text: str
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Level:
    """One trial of a level of a search for the capacity; latencies in ms."""

    t_s: float  # when it was decided
    users: int
    outcome: str  # held, broke, or undecided: the search ended before
    measured_s: float
    requests: int
    requests_per_s: float | None
    fail_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    app_p95_ms: float | None
    queue_p95_ms: float | None
    outside_p95_ms: float | None
    broken_endpoint: str | None  # whose own limit was exceeded
    endpoint_p95_ms: float | None  # of that endpoint
    saturated: bool  # the load generator was
    limited: bool  # and so it says nothing of the application


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whether the generator was good enough to believe the run's latencies."""

    trusted: bool
    text: str  # one sentence for people
    details: dict[str, Any]  # saturated_share, worst_worker, cpu_ratio, loop_lag_ms, dispersion


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One part of latency over a span of time, of *requests* requests.

    What has no time is among them, but in no other figure; those are None where nothing has one.
    """

    requests: int
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint's figures, or those of all together (name and request_type are '' then).

    `total` is what the client felt. Parts that no request came with are None, and so is `raw`,
    the latency from the actual start, of a workload that is not open.
    """

    name: str
    request_type: str
    requests: int
    failures: int
    fail_ratio: float
    requests_per_s: float
    objective_met: bool | None
    total: Latency
    app: Latency | None
    queue: Latency | None
    outside: Latency | None
    raw: Latency | None
    receiving: Latency | None = None


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One part of latency over time; each list has an element per point of `Points.t_s`."""

    mean_ms: list[float | None]  # means may be stacked, percentiles may not
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Points:
    """All endpoints together over time, at most `MOST_POINTS` points of `width_s` seconds each.

    A point begins at its `t_s`; the first may begin a little before the run. A point in which
    nothing finished has zero rates and no latencies. `covered` is the share of the requests that
    came with their parts, 0 to 1.
    """

    width_s: float
    t_s: list[float]
    users: list[int | None]
    requests_per_s: list[float]
    failures_per_s: list[float]
    covered: list[float | None]
    total: Curves
    app: Curves | None
    queue: Curves | None
    outside: Curves | None
    raw: Curves | None
    receiving: Curves | None = None


@dataclass(frozen=True, kw_only=True)
class Error:
    """What failed alike at one endpoint; `first_s` and `last_s` since the run's start."""

    name: str
    request_type: str
    error: str
    failures: int
    first_s: float
    last_s: float


@dataclass(frozen=True, kw_only=True)
class TaskError:
    """An exception that tasks raised, and where; it is no request, and fails none."""

    error: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something that happened, in words; kinds are those of the table `events`, '' another's."""

    t_s: float
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Generator:
    """The load generator's health over time: of each point the worst worker's."""

    t_s: list[float]
    cpu_ratio: list[float | None]  # 1 is a full core, all that a worker can use
    loop_lag_ms: list[float | None]
    dispersion: list[float | None]  # of all workers together; random arrivals have 1


@dataclass(frozen=True, kw_only=True)
class Series:
    """One quantity of one service over time, as Prometheus saw it; of all its traffic."""

    job: str  # Prometheus's name of the service
    name: str  # see `swarmscope.runs.server_series`; the unit is its end
    values: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Server:
    """How the services fared by their own metrics, on an axis of their own."""

    t_s: list[float]
    series: list[Series]


@dataclass(frozen=True, kw_only=True)
class Document:
    """All that a page shows of one run.

    `totals` and `endpoints` are of the part of the run that is judged: `scope` names it
    (`after_ramp_up`, `whole`; the whole run too for `ramp_up_incomplete` and `steady_too_short`),
    `scope_text` says it in words, `since_s` and `until_s` bound it. `totals` is None before
    anything finished, `server` and `generator` are None where nobody measured.
    """

    version: int
    run: Facts
    completeness: Completeness
    objective: Objective
    verdict: Verdict | None
    trust: Trust | None
    whole: bool
    since_s: float | None
    until_s: float | None
    scope: str | None
    scope_text: str
    totals: Endpoint | None
    endpoints: list[Endpoint]
    points: Points
    errors: list[Error]
    events: list[Happening]
    generator: Generator | None
    server: Server | None
    grafana_url: str | None
    task_errors: list[TaskError] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)  # of a search for the capacity, in order


def encode(document: Document) -> bytes:
    """Return the document as JSON, the same bytes for the same document."""
    return msgspec.json.encode(document)


def decode(content: bytes | str) -> Document:
    """Return the document that *content*, JSON, holds; raises msgspec.DecodeError for another."""
    return msgspec.json.decode(content, type=Document)
