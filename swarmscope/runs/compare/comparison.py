"""Two runs compared: what changed, and whether it is more than noise.

Each interval bounds the change that endless runs would show. All intervals of a comparison hold
together with 95 % confidence: each of m intervals is one of 1 − 0.05 / m (Bonferroni's
inequality; Dunn, "Multiple comparisons among means", JASA 56, 1961). So two runs of the same
service, under the same load, are called different in at most one of twenty comparisons, however
many endpoints they have. Differences between two runs that do not vary within one (another machine,
another neighbour, a cold cache) are in no interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, inf, isfinite
from typing import Any

from swarmscope.runs import component_windows
from swarmscope.runs.compare import intervals
from swarmscope.runs.compare.intervals import Estimate, Histogram, Sample, Sums
from swarmscope.runs.connection import Connection
from swarmscope.runs.histogram import CALLS
from swarmscope.runs.model import Run, Summary
from swarmscope.runs.queries import summary
from swarmscope.runs.sample_size import requests_for_quantile

FAMILY_ERROR = 0.05  # how often two runs of one kind are called different
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
PARTS = ("response", "service", "queue")  # of latency, compared
DIVIDED = (  # of the service time, whose means are compared
    "cpu", "db", "db_calls", "pool", "http", "http_calls", "cache", "cache_calls", "other",
)  # fmt: skip
ORDER = (*PARTS, *DIVIDED)
RATE, FAIL_RATIO, MEAN = "requests_per_s", "fail_ratio", "mean"
MIN_MEAN = {part: 0.1 if part in CALLS else 1.0 for part in DIVIDED}  # calls, ms: less is noise
MAX_SPANS = 200
MAX_NAMED = 5  # endpoints that a warning lists
MIN_SECONDS = 10  # of a run's span; below that there are too few batches

# What two runs should have in common: its name for people, and its attribute.
ALIKE = {
    "plan": "testplan",
    "scenario": "scenario",
    "profile": "profile_name",
    "environment": "env",
    "host": "host",
    "users": "peak_users",
}

MAX_TIMES = 2  # as long as the other run: more is worth a warning
NAMED = ("host", "users", "user_classes")  # settings that `ALIKE` has

MAX_SPREAD = (
    25.0  # an interval whose ends' ratio exceeds it, as of a standing queue, bounds nothing
)

WORSE, BETTER, SAME, UNKNOWN = "worse", "better", "same", "unknown"


@dataclass(frozen=True)
class Change:
    """One figure of both runs; name and request_type are '' for all endpoints together.

    *a* and *b* are as in `swarmscope show`: ms, requests per second, or a share. *change* and its
    interval from *low* to *high* are relative (0.1: a tenth more), for `fail_ratio` a difference of
    shares; an end is None if the requests do not bound it, *change* if there was nothing before.
    """

    name: str
    request_type: str
    part: str
    measure: str
    a: float
    b: float
    change: float | None
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; *warnings* say why the runs may not be comparable."""

    a: Run
    b: Run
    whole: bool
    changes: list[Change]
    warnings: list[str]
    spans: tuple[str, str]  # that the figures of each cover, in words
    comparable: bool  # both are after ramp-up, or both of the whole run

    @property
    def decisive(self) -> Change | None:
        """The change of the p95 of all requests, which decides a gate; None without requests."""
        total = ("", "", "response", "p95")
        found = (c for c in self.changes if (c.name, c.request_type, c.part, c.measure) == total)
        return next(found, None)

    def clears(self, limit: float) -> bool:
        """Return whether the p95 of all requests is certainly not worse by more than *limit*."""
        change = self.decisive
        if change is None or change.high is None or change.verdict == UNKNOWN:
            return False
        return self.comparable and change.high <= limit

    def regressions(self, limit: float) -> list[Change]:
        """Return the figures that are certainly worse, and by more than the share *limit*."""
        return [c for c in self.changes if c.verdict == WORSE and _worsening(c) > limit]


def _worsening(change: Change) -> float:
    """Return by which share of the former figure it is worse."""
    if change.change is None:
        return inf
    if change.measure == FAIL_RATIO:
        return change.change / change.a if change.a else float("inf")
    return -change.change if change.measure == RATE else change.change


Key = tuple[str, str, str]  # name, request_type, part


@dataclass(frozen=True)
class Figures:
    """What is compared of one run: figures for people, and samples for the intervals."""

    summaries: Mapping[Key, Summary]
    samples: Mapping[Key, Sample]  # empty when the run is too short
    divided: Mapping[Key, Sums] = field(default_factory=dict)  # without spans then

    @property
    def span(self) -> str:
        """The span that the figures cover, in words."""
        return next((s.scope_text for s in self.summaries.values()), "No request finished")

    @property
    def is_whole(self) -> bool:
        """Whether they are of the whole run."""
        return any(s.is_whole for s in self.summaries.values())


def compare(connection: Connection, a: Run, b: Run, whole: bool = False) -> Comparison:
    """Compare run *b* with run *a*, after ramp-up of each, or the *whole* of both."""
    of_a, of_b = (figures(connection, run.run_id, whole) for run in (a, b))
    warnings = [*unlike(a, b), *unlike_origins(connection, a, b), *unmatched(of_a, of_b)]
    if not (of_a.samples and of_b.samples):
        warnings.append(f"a span is shorter than {MIN_SECONDS} s: no intervals can be given")
    spans, alike = (of_a.span, of_b.span), of_a.is_whole == of_b.is_whole
    if not alike:
        warnings.append(f"A and B cover different spans: {spans[0]}; {spans[1]}")
    return Comparison(a, b, whole, changes(of_a, of_b), warnings, spans, alike)


def figures(connection: Connection, run_id: datetime, whole: bool) -> Figures:
    """Return the figures of a run that are compared."""
    rows = [s for s in summary(connection, run_id, whole) if s.part in PARTS]
    summaries = {(s.name, s.request_type, s.part): s for s in rows}
    if not rows:
        return Figures({}, {})
    batches = _Batches.of(rows[0].since, rows[0].until)
    found = _samples(connection, run_id, rows[0], batches) if batches else {}
    return Figures(summaries, found, _sums(connection, run_id, rows[0], batches))


@dataclass(frozen=True)
class _Batches:
    """Equal spans of time, each of several windows of *width_s* that the database has."""

    first: datetime
    width_s: int
    length: int  # windows of a batch
    number: int

    @classmethod
    def of(cls, since: datetime, until: datetime) -> _Batches | None:
        """Return those of [since, until); None if it is too short."""
        width_s = _width_s((until - since).total_seconds())
        first, number = _spans(since, until, width_s)
        length = intervals.batch_length(number)
        return None if length is None else cls(first, width_s, length, number // length)

    @property
    def end(self) -> datetime:
        """The end of the last one."""
        return self.first + timedelta(seconds=self.number * self.length * self.width_s)

    def place(self, time: datetime) -> int:
        """Return in which of them the window at *time* is."""
        return round((time - self.first).total_seconds() / self.width_s) // self.length


def _samples(
    connection: Connection, run_id: datetime, of: Summary, batches: _Batches
) -> dict[Key, Sample]:
    """Return each part's histogram, of the whole span and of the batches it is made of."""
    whole = {key: h for _, key, h in _merged(connection, run_id, *of.windows, None)}
    parts: dict[Key, list[list[Histogram]]]
    parts = {key: [[] for _ in range(batches.number)] for key in whole}
    spans = (batches.first, batches.end, batches.width_s)
    for time, key, histogram in _merged(connection, run_id, *spans):
        parts[key][batches.place(time)].append(histogram)
    joined = {key: [intervals.join(spans) for spans in parts[key]] for key in whole}
    seconds = (of.until - of.since).total_seconds()
    return {key: Sample(whole[key], joined[key], seconds) for key in whole}


def _sums(
    connection: Connection, run_id: datetime, of: Summary, batches: _Batches | None
) -> dict[Key, Sums]:
    """Return what the components of the service time, and the calls, add up to."""
    whole = {
        (*w.endpoint, w.part): w for w in component_windows.windows(connection, run_id, *of.windows)
    }
    parts: dict[Key, list[tuple[float, float]]]
    parts = {key: [(0.0, 0.0)] * (batches.number if batches else 0) for key in whole}
    found = (
        component_windows.windows(connection, run_id, batches.first, batches.end, batches.width_s)
        if batches and whole
        else []
    )
    for window in found:
        assert batches
        spans, place = parts[*window.endpoint, window.part], batches.place(window.time)
        total, requests = spans[place]
        spans[place] = total + window.total, requests + window.requests
    return {key: Sums(w.total, w.requests, parts[key]) for key, w in whole.items()}


def _width_s(seconds: float) -> int:
    """Return a width of spans that the database has windows for: at most `MAX_SPANS` of them."""
    if seconds <= MAX_SPANS:
        return 1
    if seconds <= 10 * MAX_SPANS:
        return 10
    return 60 * ceil(seconds / 60 / MAX_SPANS)


def _spans(since: datetime, until: datetime, width_s: int) -> tuple[datetime, int]:
    """Return the first whole span of [since, until), aligned as windows are, and their number."""
    first = ceil(since.timestamp() / width_s)
    number = int(until.timestamp() // width_s) - first
    return datetime.fromtimestamp(first * width_s, since.tzinfo), number


def _merged(
    connection: Connection, run_id: datetime, since: datetime, until: datetime, width_s: int | None
) -> Iterator[tuple[datetime, Key, Histogram]]:
    found = connection.execute(
        "SELECT time, name, request_type, part, coalesce(buckets, '{}'),"
        " coalesce(cumulative, '{}'), failures,"
        " requests - coalesce(cumulative[cardinality(cumulative)], 0)"
        " FROM merged(%s, %s, %s, %s, %s, NULL)",
        [run_id, since, until, width_s, list(PARTS)],
    )
    for time, name, method, part, *figures in found:
        yield time, (name, method, part), Histogram(*figures)


def changes(a: Figures, b: Figures) -> list[Change]:
    """Return all changes that can be computed, those of all endpoints together first."""
    both = [key for key in a.summaries if key in b.summaries]
    compared = [
        (key, measure)
        for key in both
        for measure in (*QUANTILES, *((RATE, FAIL_RATIO) if key[2] == "response" else ()))
        if all(_figure(run, key, measure) is not None for run in (a, b))
    ]
    compared += [
        (key, MEAN)
        for key in a.divided
        if key in b.divided and max(a.divided[key].mean, b.divided[key].mean) >= MIN_MEAN[key[2]]
    ]
    compared.sort(key=lambda one: (*one[0][:2], ORDER.index(one[0][2])))
    level = 1 - FAMILY_ERROR / max(len(compared), 1)
    return [
        _change_of_mean(a, b, key, level) if measure == MEAN else _change(a, b, key, measure, level)
        for key, measure in compared
    ]


def _change_of_mean(a: Figures, b: Figures, key: Key, level: float) -> Change:
    """Return the change of a mean per request: relative unless one of both is zero."""
    was, now = a.divided[key], b.divided[key]
    change = now.mean / was.mean - 1 if was.mean else None
    if not (was.spans and now.spans):
        return Change(*key, MEAN, was.mean, now.mean, change, None, None, UNKNOWN)
    estimates = was.estimate(level), now.estimate(level)
    if not (was.mean and now.mean):
        verdict = _verdict(intervals.difference(*estimates), MEAN)
        return Change(*key, MEAN, was.mean, now.mean, change, None, None, verdict)
    difference = intervals.difference(*map(intervals.logarithm, estimates))
    return _judged(key, MEAN, was.mean, now.mean, intervals.relative(difference))


def _change(a: Figures, b: Figures, key: Key, measure: str, level: float) -> Change:
    was, now = (_figure(run, key, measure) for run in (a, b))
    if key not in a.samples or key not in b.samples or _too_few(a, b, key, measure):
        change = now - was if measure == FAIL_RATIO else now / was - 1
        return Change(*key, measure, was, now, change, None, None, UNKNOWN)
    found = _estimate(a.samples[key], b.samples[key], measure, level)
    return _judged(key, measure, was, now, found)


def _judged(key: Key, measure: str, was: float, now: float, change: Estimate) -> Change:
    found = _bounded(change, measure)
    low, high = (end if isfinite(end) else None for end in (found.low, found.high))
    verdict = _verdict(found, measure)
    return Change(*key, measure, was, now, found.value, low, high, verdict)


def _too_few(a: Figures, b: Figures, key: Key, measure: str) -> bool:
    """Return whether one of the runs has too few requests for its percentile."""
    needed = requests_for_quantile(QUANTILES[measure]) if measure in QUANTILES else 0
    return min(run.summaries[key].requests for run in (a, b)) < needed


def _figure(run: Figures, key: Key, measure: str) -> Any:
    """Return a figure as `swarmscope show` has it; None where nothing has a time."""
    figure = f"{measure}_ms" if measure in QUANTILES else measure
    return getattr(run.summaries[key], figure)


def _estimate(a: Sample, b: Sample, measure: str, level: float) -> Estimate:
    if measure == FAIL_RATIO:
        return intervals.difference(a.fail_ratio(level), b.fail_ratio(level))
    if measure == RATE:
        return intervals.relative(intervals.difference(a.rate(level), b.rate(level)))
    share = QUANTILES[measure]
    found = intervals.difference(a.quantile(share, level), b.quantile(share, level))
    return intervals.relative(found)


def _bounded(change: Estimate, measure: str) -> Estimate:
    """Return *change* without the ends that its interval is too wide for."""
    if measure == FAIL_RATIO or 1 + change.high <= MAX_SPREAD * (1 + change.low):
        return change
    low = change.low if change.low > 0 else -inf
    return Estimate(change.value, low, change.high if change.high < 0 else inf)


def _verdict(change: Estimate, measure: str) -> str:
    if change.low > 0:
        return BETTER if measure == RATE else WORSE
    if change.high < 0:
        return WORSE if measure == RATE else BETTER
    return SAME if isfinite(change.low) and isfinite(change.high) else UNKNOWN


def unlike(a: Run, b: Run) -> Iterator[str]:
    """Yield a line for each difference between two runs that should be alike."""
    for name, attribute in ALIKE.items():
        was, now = getattr(a, attribute), getattr(b, attribute)
        if was != now:
            yield f"{name}: {_spelled(was)} against {_spelled(now)}"
    for run, label in ((a, "A"), (b, "B")):
        if run.dropped:
            yield f"{label} has lost {run.dropped:,} samples"


def unlike_origins(connection: Connection, a: Run, b: Run) -> Iterator[str]:
    """Yield a line for each known difference in how two runs were made."""
    query = "SELECT machine, scenario_hash, coalesce(settings, '{}') FROM testrun WHERE id = %s"
    found = [connection.execute(query, [run.run_id]).fetchone() for run in (a, b)]
    (machine, files, options), (other, other_files, other_options) = filter(None, found)
    if machine and other and machine != other:
        yield f"machine: {machine} against {other}"
    if files and other_files and files != other_files:
        yield "the scenario's files were edited between the runs"
    was, now = (f"{run.objective_ms:g} ms, {run.objective_fail_ratio:.3g} failed" for run in (a, b))
    if was != now:
        yield f"SLO: {was} against {now}"
    lasted = [run.duration_s or 0 for run in (a, b)]
    if max(lasted) > MAX_TIMES * min(lasted):
        yield "lasted: {:,.0f} s against {:,.0f} s".format(*lasted)
    names = [n for n in {**options, **other_options} if n not in NAMED and not n.startswith("slo_")]
    if changed := [n for n in names if options.get(n) != other_options.get(n)][:MAX_NAMED]:
        pairs = (f"{n} {options.get(n)!r} against {other_options.get(n)!r}" for n in changed)
        yield f"options: {', '.join(pairs)}"


def _spelled(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def unmatched(a: Figures, b: Figures) -> Iterator[str]:
    """Yield what only one of two runs has: a line for endpoints, and one for parts of others."""
    of_a, of_b = ({*run.summaries, *run.divided} for run in (a, b))
    for label, mine, other in (("A", of_a, of_b), ("B", of_b, of_a)):
        shared = {(method, name) for name, method, _ in other}
        alone = sorted({(method, name) for name, method, _ in mine} - shared)
        if alone:
            names = [f"{method} {name}".strip() or "all endpoints" for method, name in alone]
            more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
            yield f"only in {label}: {', '.join(names[:MAX_NAMED])}{more}"
        missing = (key for key in mine - other if (key[1], key[0]) in shared)
        if parts := sorted({part for _, _, part in missing} - {*CALLS}):
            yield f"only {label} has times of: {', '.join(parts)}"
