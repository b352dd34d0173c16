"""A run's stored profiles for its page: joined by level or time, with the requests of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean

from swarmscope.formatting import duration
from swarmscope.runs.connection import Connection
from swarmscope.runs.document import Document, LevelResult, Points
from swarmscope.runs.page.flames import Choice, FlameData, FlameSpan
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, KINDS, Profile, merged
from swarmscope.runs.profiles.storage import Window
from swarmscope.runs.schema import maintenance

MAX_SPANS = 20  # of time, for each service and kind
WIDTHS_S = (15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
BETWEEN_LEVELS = "Between levels"

Taken = tuple[Window, Profile]


def of_run(connection: Connection, run_id: datetime, document: Document) -> FlameData:
    """Return the profiles of a run; first the level that broke, compared with the one that held."""
    taken = storage.profiles(connection, run_id)
    label = _Labels([window for window, _ in taken], run_id, document)
    grouped: dict[tuple[str, str, str], list[Taken]] = defaultdict(list)
    for window, profile in taken:
        grouped[window.job, window.kind, label(window)].append((window, profile))
    spans = [_span(document, name, some) for (*_, name), some in grouped.items()]
    spans.sort(key=_place(connection, run_id))
    kept, now = maintenance.default_age(connection), datetime.now(UTC)
    reason = "" if spans else why_none(document, kept, now)
    return FlameData(spans=spans, preset=_preset(spans, document), reason=reason)


def of_two_runs(connection: Connection, a: Document, b: Document) -> FlameData:
    """Return the profiles of whole runs, for what has changed from *a* to *b*."""
    spans = []
    for label, document in (("A", a), ("B", b)):
        grouped: dict[tuple[str, str], list[Taken]] = defaultdict(list)
        for window, profile in storage.profiles(connection, document.run.started):
            grouped[window.job, window.kind].append((window, profile))
        spans += [_span(document, label, some) for some in grouped.values()]
    spans.sort(key=_place(connection, a.run.started, b.run.started))
    return FlameData(spans=spans, preset=Choice(label="B", baseline="A"), whole="")


def _place(connection: Connection, *runs: datetime) -> Callable[[FlameSpan], int]:
    """Return what sorts spans by the order of the runs' services."""
    jobs = [job for run in runs for kind in KINDS for job in storage.jobs(connection, run, kind)]
    return lambda span: jobs.index(span.service)


def _span(document: Document, label: str, taken: Sequence[Taken]) -> FlameSpan:
    """Return the sum of what was *taken* of one job and kind."""
    windows = [window for window, _ in taken]
    return FlameSpan(
        service=windows[0].job,
        label=label,
        requests=_requests(document.points, windows, document.run.started),
        profile=merged(profile for _, profile in taken),
        wake_delay_ms=_wake_delay_ms(document, windows),
    )


def _wake_delay_ms(document: Document, windows: Sequence[Window]) -> float | None:
    """Return the mean of what the service's workers measured meanwhile, None without a figure."""
    if document.server is None:
        return None
    job, start = windows[0].job, document.run.started
    spans = [[(at - start).total_seconds() for at in (w.since, w.until)] for w in windows]
    found = [
        value
        for series in document.server.series
        if (series.job, series.name) == (job, "wake_delay_ms")
        for t_s, value in zip(document.server.t_s, series.values, strict=True)
        if value is not None and any(since <= t_s <= until for since, until in spans)
    ]
    return fmean(found) if found else None


class _Labels:
    """Names the level of a window, or the span of time that it belongs to."""

    def __init__(self, windows: Sequence[Window], run_id: datetime, document: Document) -> None:
        self._start, self._levels = run_id, document.levels
        self._has_levels = any(window.level is not None for window in windows)
        last_s = max(((window.until - run_id).total_seconds() for window in windows), default=0.0)
        self._width_s = next((w for w in WIDTHS_S if w * MAX_SPANS >= last_s), WIDTHS_S[-1])

    def __call__(self, window: Window) -> str:
        if window.level is None and self._has_levels:
            return BETWEEN_LEVELS
        if window.level is None:
            since_s = (window.middle - self._start).total_seconds() // self._width_s * self._width_s
            return f"{duration(since_s)} to {duration(since_s + self._width_s)}"
        if window.level > len(self._levels):
            return f"Stage {window.level}"
        return _level_name(self._levels[window.level - 1])


def _level_name(level: LevelResult) -> str:
    return f"{level.users:,} users, {level.outcome}"


def _requests(points: Points, windows: Iterable[Window], start: datetime) -> float | None:
    """Return how many requests finished while *windows* were sampled, by the run's curve."""
    sum_ = 0.0
    for window in windows:
        since, until = ((at - start).total_seconds() for at in (window.since, window.until))
        shares = [
            (max(0.0, min(until, t_s + points.width_s) - max(since, t_s)), rate)
            for t_s, rate in zip(points.t_s, points.requests_per_s, strict=True)
        ]
        if covered := sum(seconds for seconds, _ in shares):
            sum_ += window.seconds * sum(s * rate for s, rate in shares) / covered
    return sum_ or None


def _preset(spans: Sequence[FlameSpan], document: Document) -> Choice:
    """Return the lowest level that broke beside the highest that held, else the whole run.

    Of the kinds, the one whose time per request grew more from one to the other.
    """
    if not spans:
        return Choice()
    service = spans[0].service
    known = {(one.profile.kind, one.label): one for one in spans if one.service == service}
    held, broke = (_profiled(document.levels, outcome, known) for outcome in ("held", "broke"))
    if not (held and broke):
        return Choice(service=service)
    label, baseline = _level_name(broke[0]), _level_name(held[-1])
    growth = {
        kind: _per_request(known[kind, label]) - _per_request(known[kind, baseline])
        for kind in KINDS
        if {(kind, label), (kind, baseline)} <= known.keys()
    }
    kind = max(growth, key=lambda one: growth[one], default=CPU)
    return Choice(service=service, kind=kind, label=label, baseline=baseline)


def _profiled(
    levels: Iterable[LevelResult], outcome: str, known: Iterable[tuple[str, str]]
) -> list[LevelResult]:
    """Return the levels of which there is a profile, the lowest first."""
    names = {label for _, label in known}
    found = [one for one in levels if one.outcome == outcome and _level_name(one) in names]
    return sorted(found, key=lambda level: level.users)


def _per_request(span: FlameSpan) -> float:
    return span.profile.total_us / (span.requests or 1)


def why_none(document: Document, kept: timedelta, now: datetime) -> str:
    """Return in words why a run has no profiles, which are *kept* so long, and what to do."""
    run = document.run
    if now - (run.ended or now) > kept:
        return (
            "Profiles are deleted with the raw requests, after"
            f" {kept.days} days (keep_requests_days in the table setting): this run's are gone."
        )
    if not document.services:
        return (
            "No profile: none of this run's services is known to Prometheus. A service that serves"
            " its metrics (swarmscope.server.gunicorn, serve_metrics) is profiled while a run is"
            " running."
        )
    names = ", ".join(service.name for service in document.services)
    return (
        f"No profile{' yet' if run.status == 'running' else ''} of {names}: they are taken every"
        " few seconds while a run is running, from services with serve_metrics(profiles=True) or"
        " SWARMSCOPE_PROFILES=1, and not with SWARMSCOPE_PROFILES=0. If a service refuses or does"
        " not answer, Locust's log says why."
    )
