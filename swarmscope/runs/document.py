"""One run as one document: what the page, reports and other programs read instead of the database.

`docs/run-document.md` describes it. Latencies are in ms, points of the time axis in seconds since
the run's start. A figure that nobody measured is None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from swarmscope.runs.model import Judgement, TaskError

VERSION = 2  # of the format: raised when a field is removed or changes its meaning, not when added
MAX_POINTS = 600
MAX_ERRORS = 50
MAX_EVENTS = 200
MAX_SLOWEST = 15
MAX_RESOURCE_SERIES = 8


@dataclass(frozen=True, kw_only=True)
class RunDetails:
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
    settings: dict[str, Any] | None  # as started: users, spawn_rate, run_time, host …
    versions: dict[str, str]  # of swarmscope, locust, python …
    status: str  # running, finished or aborted
    exit_code: int | None
    started: datetime
    ramp_up_complete: datetime | None
    ended: datetime | None
    duration_s: float | None
    target_users: int | None
    peak_users: int | None
    branch: str | None = None  # of the directory in which the run was started
    commit_hash: str | None = None
    scenario_hash: str | None = None  # of the files that define users and shape
    machine: str | None = None  # the kind of the load generator's


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """Whether all of the run was delivered, and what is missing."""

    complete: bool  # over, and every journal of the run was delivered
    workers: int
    unfinished_workers: int
    lost_workers: int
    dropped: int  # samples for which there was no room
    clock_skewed: int  # samples without parts, because the clocks differ
    corrected: int = 0  # starts outside the run, replaced by the end less the duration
    after_stop: int = 0  # requests that finished after their worker's stop: in no figure


@dataclass(frozen=True, kw_only=True)
class ObjectiveResult:
    """The run's limits on response time and failures, and whether the totals met them.

    `met` is None where that was not judged; `reason` says why.
    """

    quantile: float
    limit_ms: float
    fail_ratio: float
    met: bool | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """One trial of a level of a capacity search; latencies in ms, None where not measured."""

    users: int
    outcome: str  # held, broke, or undecided: the search ended before
    measured_s: float
    requests: int
    requests_per_s: float | None
    fail_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    service_p95_ms: float | None = None
    queue_p95_ms: float | None
    outside_p95_ms: float | None
    broken_endpoint: str | None  # whose own limit was exceeded
    endpoint_p95_ms: float | None  # of that endpoint
    saturated: bool  # the load generator, not the application
    limited: bool  # by the generator, so it says nothing about the application


@dataclass(frozen=True, kw_only=True)
class LevelResult(LevelFigures):
    """The same, with its place in the run."""

    t_s: float  # when it was decided


@dataclass(frozen=True, kw_only=True)
class GeneratorTrust:
    """Whether the generator was good enough for the run's latencies to be believed."""

    trusted: bool
    text: str  # one sentence for people
    details: dict[str, Any]  # saturated_share, worst_worker, cpu_ratio, run_delay_ratio, …


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One part of latency over a span of time, of *requests* requests.

    Requests without a time count in *requests* only; the other figures are None if none has one.
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

    `response` is the whole response time. Parts that no request came with are None, and so is
    `uncorrected`, the response time from the actual start, of a closed workload. `cpu` to `other`
    are components of `service`; `db_calls` and the like are means per request.
    """

    name: str
    request_type: str
    requests: int
    failures: int
    fail_ratio: float
    requests_per_s: float
    objective_met: bool | None
    response: Latency
    service: Latency | None = None
    queue: Latency | None = None
    outside: Latency | None = None
    uncorrected: Latency | None = None
    receiving: Latency | None = None
    cpu: Latency | None = None
    db: Latency | None = None
    pool: Latency | None = None
    http: Latency | None = None
    cache: Latency | None = None
    other: Latency | None = None
    db_calls: float | None = None  # statements and other calls of a driver
    http_calls: float | None = None
    cache_calls: float | None = None


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One part of latency over time; each list has an element per point of `Points.t_s`."""

    mean_ms: list[float | None]  # means may be stacked, percentiles may not
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Means:
    """One component of the service time over time, to be stacked."""

    mean_ms: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Points:
    """All endpoints together over time, at most `MAX_POINTS` points of `width_s` seconds each.

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
    response: Curves
    service: Curves | None = None
    queue: Curves | None = None
    outside: Curves | None = None
    uncorrected: Curves | None = None
    receiving: Curves | None = None
    cpu: Means | None = None
    db: Means | None = None
    pool: Means | None = None
    http: Means | None = None
    cache: Means | None = None
    other: Means | None = None


@dataclass(frozen=True, kw_only=True)
class SlowRequest:
    """One of the slowest requests; parts, components and calls are None where not measured."""

    t_s: float  # when it was sent, since the run's start
    endpoint: str
    response_ms: float
    start_delay_ms: float | None
    queue_ms: float | None
    service_ms: float | None
    receiving_ms: float | None
    outside_ms: float | None
    error: str | None
    trace_id: str | None
    cpu_ms: float | None = None
    db_ms: float | None = None
    pool_ms: float | None = None
    http_ms: float | None = None
    cache_ms: float | None = None
    other_ms: float | None = None
    db_calls: int | None = None
    http_calls: int | None = None
    cache_calls: int | None = None


@dataclass(frozen=True, kw_only=True)
class EndpointError:
    """Failures of one endpoint with the same text; `first_s` and `last_s` since the run's start."""

    name: str
    request_type: str
    error: str
    failures: int
    first_s: float
    last_s: float


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something that happened; kinds are those of the table `events`, '' for other writers'."""

    t_s: float
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class GeneratorCurves:
    """The load generator's health over time: at each point that of the worst worker."""

    t_s: list[float]
    cpu_ratio: list[float | None]  # 1 is a full core, all that a worker can use
    loop_lag_ms: list[float | None]
    dispersion: list[float | None]  # of all workers together; random arrivals have 1


@dataclass(frozen=True, kw_only=True)
class ServiceSeries:
    """One quantity of one service over time, as Prometheus saw it; of all its traffic."""

    job: str  # Prometheus's name of the service
    name: str  # see `swarmscope.runs.server_series`; the unit is its end
    values: list[float | None]


@dataclass(frozen=True, kw_only=True)
class CallSeries:
    """One quantity of one service's calls to one place over time, as the caller counted them."""

    job: str  # the caller
    host: str  # NAME:PORT
    service: str | None  # which of the run's services is there; None: one that is not measured
    name: str
    values: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services' own metrics, on an axis of their own."""

    t_s: list[float]
    series: list[ServiceSeries]
    calls: list[CallSeries] = field(default_factory=list)
    resources: list[ResourceSeries] = field(default_factory=list)  # those that were used most


@dataclass(frozen=True, kw_only=True)
class CallFigures:
    """A service's calls to one place, in the span of the totals."""

    host: str  # NAME:PORT
    service: str | None  # as in `CallSeries`
    calls_per_s: float | None
    per_request: float | None  # calls for each of the caller's requests
    mean_ms: float | None  # that the caller waited for a call
    error_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class ServiceFigures:
    """One service of the run in the span of the totals, by its own metrics: all its traffic."""

    name: str  # Prometheus's name of it, the label `job`
    role: str  # target, called, named or counted: see `swarmscope.runs.services`
    requests_per_s: float | None
    error_ratio: float | None
    service_mean_ms: float | None
    queue_mean_ms: float | None
    waiting_ms: float | None  # of the service time, for the answers to its calls
    calls: list[CallFigures]  # those that took the most time first


@dataclass(frozen=True, kw_only=True)
class LevelCalls:
    """What one statement, or the calls to one host, did at one level of the run's shape."""

    level: int  # from 1 on: of a capacity search, in the order of `levels`, else its stages
    calls: int
    per_request: float | None
    mean_ms: float | None


@dataclass(frozen=True, kw_only=True)
class StatementFigures:
    """A database statement of a route in the whole run, by the service's own metrics."""

    service: str  # Prometheus's name of it
    method: str  # "" where statements are not told apart
    url_rule: str
    statement: str  # without its literals; "other": the rest; "": all, not told apart
    requests: int  # of the route
    calls: int
    per_request: float | None
    time_ratio: float | None  # its share of the service time of the route's requests
    mean_ms: float | None  # executing it and fetching its rows
    max_ms: float | None
    rows: int | None  # that it returned or changed
    levels: list[LevelCalls] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class OutgoingFigures:
    """A service's calls to one host with one method in the whole run."""

    service: str
    host: str  # NAME:PORT
    method: str
    calls: int
    per_request: float | None
    mean_ms: float | None
    error_ratio: float | None
    levels: list[LevelCalls] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ResourceName:
    """A resource; `words` say it to people, without its service."""

    service: str | None  # None: the run's own, such as the load generator
    kind: str  # one of `swarmscope.runs.resources.model.KINDS`
    detail: str  # a pool's name, another service's host, …; ""
    words: str


@dataclass(frozen=True, kw_only=True)
class ResourceSeries(ResourceName):
    """How much of a resource was in use over time, on the axis of `Services`."""

    utilisation: list[float | None]  # used ÷ places


@dataclass(frozen=True, kw_only=True)
class RouteHold:
    """How long one request of a route holds a place of a resource."""

    route: str
    held_ms: float
    share: float  # of the time that all requests held places, 0 to 1


@dataclass(frozen=True, kw_only=True)
class ResourceFigures(ResourceName):
    """A resource in the span of the totals.

    `ceiling_per_s` is how many requests of the run's mix its places can serve per second; the other
    two bound its 95 % confidence interval. Places that others use are not among them.
    """

    places: float | None  # that this service can have
    others: float | None  # places that others used; None where that is not known
    used: float | None  # mean number in use
    utilisation: float | None  # used ÷ places
    waiting: float | None  # mean number of requests that wait for a place
    demand_ms: float | None  # time that a request holds a place: used ÷ requests per second
    ceiling_per_s: float | None
    ceiling_low_per_s: float | None
    ceiling_high_per_s: float | None
    forecast: bool  # nothing was used by 70 %, so the ceiling is extrapolated from far below
    routes: list[RouteHold] = field(default_factory=list)  # those that hold most first


@dataclass(frozen=True, kw_only=True)
class CauseSide:
    """One side of the comparison behind a cause: the load that held, or the one that broke."""

    requests_per_s: float | None
    response_ms: float | None  # mean
    parts: dict[str, float]  # mean of each known part, in ms


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What broke a run, or a level of a capacity search, as far as its figures agree."""

    kind: str  # of the resource that was full; "unknown" where none, or too many, explain it
    detail: str
    service: str | None
    words: str  # the resource; "" if unknown
    sentence: str  # for people, with figures
    agrees: bool  # the part that grew most is the wait for the resource that was full
    grew: str | None  # the part whose mean grew most from `held` to `broke`
    held: CauseSide | None  # None where nothing held
    broke: CauseSide
    also: list[ResourceName] = field(default_factory=list)  # that were full at the same time
    next: ResourceFigures | None = None  # the next lowest ceiling
    frames: list[str] = field(default_factory=list)  # of the app, that took most of its time


@dataclass(frozen=True, kw_only=True)
class QueueParts:
    """What the queue is made of, in ms per request; None where not known.

    `rest_ms` is what remains of the mean queue: the network, and what was not measured.
    """

    queue_ms: float | None
    generator_lag_ms: float | None  # the load generator was late in sending
    accept_queue_ms: float | None  # in the listen socket's queue
    worker_queue_ms: float | None  # accepted by a worker, all of whose threads were busy
    cpu_wait_ms: float | None  # workers were ready to run and did not
    rest_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Document:
    """All that a page shows of one run.

    `totals` and `endpoints` cover the span of the run that is judged: `scope` names it
    (`after_ramp_up`, `whole`; the whole run too for `ramp_up_incomplete` and `steady_too_short`),
    `scope_text` puts it in words, `since_s` and `until_s` bound it. `totals` is None before
    anything finished, `server` and `generator` are None where nothing was measured. `services` are
    those that counted a request; `findings` says what took the time, `cause` what broke. `slowest`
    are single requests, as long as raw ones are kept.
    """

    version: int
    run: RunDetails
    completeness: Completeness
    objective: ObjectiveResult
    verdict: Judgement | None
    trust: GeneratorTrust | None
    whole: bool
    since_s: float | None
    until_s: float | None
    scope: str | None
    scope_text: str
    totals: Endpoint | None
    endpoints: list[Endpoint]
    points: Points
    errors: list[EndpointError]
    events: list[RunEvent]
    generator: GeneratorCurves | None
    server: Services | None
    grafana_url: str | None
    task_errors: list[TaskError] = field(default_factory=list)
    levels: list[LevelResult] = field(default_factory=list)  # of a capacity search, in order
    services: list[ServiceFigures] = field(default_factory=list)  # the swarm's targets first
    findings: list[str] = field(default_factory=list)
    slowest: list[SlowRequest] = field(default_factory=list)
    statements: list[StatementFigures] | None = None  # None: not measured
    calls: list[OutgoingFigures] | None = None
    resources: list[ResourceFigures] = field(default_factory=list)  # lowest ceiling first
    cause: Cause | None = None  # None: the objective was met, or not judged
    queue_parts: QueueParts | None = None
    notes: list[str] = field(default_factory=list)  # what could not be measured, and what to do
    ended_early: str | None = None  # why --check-abort ended the run

    @property
    def unsaid_cause(self) -> str:
        """The sentence of the cause; "" where there is none, or the verdict says it."""
        sentence = self.cause.sentence if self.cause else ""
        return "" if self.verdict and sentence in self.verdict.text else sentence


def encode(document: Document) -> bytes:
    """Return the document as JSON, the same bytes for the same document."""
    return msgspec.json.encode(document)


def decode(content: bytes | str) -> Document:
    """Return the document in *content*, JSON.

    Raises msgspec.DecodeError if it holds none, or one of another version.
    """
    version = msgspec.json.decode(content, type=_Versioned).version
    if version != VERSION:
        raise msgspec.ValidationError(f"a run document of version {version}, not {VERSION}")
    return msgspec.json.decode(content, type=Document)


class _Versioned(msgspec.Struct):
    version: int
