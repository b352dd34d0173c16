"""The cause of a run's failure, or of a level's, as its document and its verdict hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from swarmscope.formatting import printable
from swarmscope.runs.call_counts import StatementCount
from swarmscope.runs.causes import words
from swarmscope.runs.causes.cause import Finding, agree, findings, grown
from swarmscope.runs.causes.demands import Load, demands, figures_of, marked, mean, targets
from swarmscope.runs.causes.ends import FULL, Side, weighted
from swarmscope.runs.causes.words import Full
from swarmscope.runs.counters import WHOLE
from swarmscope.runs.document import Cause, CauseSide, ResourceFigures, ResourceName
from swarmscope.runs.resources.model import QUOTA, ResourceKey
from swarmscope.runs.server_series import CallKey, Capture

UNKNOWN = "unknown"
OF_GENERATOR = ("generator", "generator_cpu")
ONE_AT_A_TIME = ("lock", "database_lock")
WITHIN = 1.05  # a ceiling below the observed rate, by more than this, is not one
HOLDERS = {
    "cpu": "on the CPU",
    "db": "in the database",
    "pool": "waiting for a connection of the pool",
    "http": "in calls to other services",
    "cache": "in the cache",
    "other": "in what is not measured, such as a sleep",
}
SOLE = 0.5
HARDLY = 1.2  # times as long: the load makes little difference

Frames = Callable[[ResourceKey], Sequence[str]]  # of the app, that took most of the time


def explain(
    capture: Capture, held: Side | None, broke: Side, frames: Frames | None = None
) -> Cause:
    """Return what broke between two loads, or that it is unknown."""
    grew = grown(capture, held, broke)
    found = findings(capture, held, broke)
    agrees = agree(capture, found, grew)
    full = [_full(capture, one, held, broke, frames) for one in found] if agrees else []
    figures = [one.figures for one in full]
    sides = [_side(capture, side) if side else None for side in (held, broke)]
    rate = sides[1].requests_per_s if sides[1] else None
    others = _together(capture, held, broke, figures)
    if held is None:  # those that were full, too, are held for as long as requests wait
        others = [one for one in others if (one.utilisation or 0.0) < FULL]
    following = _next(others, figures, rate) if full else None
    first = figures[0] if figures else None
    of = _other_service(capture, (following and following.service) or "")
    text = words.sentence(rate, full, following, of) if full else ""
    text = text or _unknown(capture, held, broke, grew, rate)
    return Cause(
        kind=first.kind if first else UNKNOWN,
        detail=first.detail if first else "",
        service=first.service if first else None,
        words=first.words if first else "",
        sentence=printable(text),
        agrees=agrees,
        grew=grew,
        held=sides[0],
        broke=sides[1] or CauseSide(requests_per_s=None, response_ms=None, parts={}),
        also=[_name(one) for one in figures[1:]],
        next=following,
        frames=[frame for one in full for frame in one.frames],
    )


def table(
    capture: Capture, held: Side | None, broke: Side, cause: Cause | None = None
) -> list[ResourceFigures]:
    """Return the figures of all resources: as they held; of those that were full as they broke.

    While they wait for what is full, requests hold everything else for longer than they need to.
    """
    named: list[Cause | ResourceName] = []
    if cause and cause.kind != UNKNOWN:
        named = [cause, *cause.also]
    keys = [ResourceKey(one.service or "", one.kind, one.detail) for one in named]
    full = [_figures(Load(capture), key, broke) for key in keys]
    return _together(capture, held, broke, full)


def _together(
    capture: Capture, held: Side | None, broke: Side, full: Sequence[ResourceFigures]
) -> list[ResourceFigures]:
    side = held or broke
    named = {_key(one) for one in full}
    others = demands(capture, side.points, side.level)
    return marked([*full, *(one for one in others if _key(one) not in named)])


def _key(figures: ResourceFigures) -> ResourceKey:
    return ResourceKey(figures.service or "", figures.kind, figures.detail)


def _name(figures: ResourceFigures) -> ResourceName:
    return ResourceName(**{one.name: getattr(figures, one.name) for one in fields(ResourceName)})


def _next(
    found: Sequence[ResourceFigures], full: Sequence[ResourceFigures], rate: float | None
) -> ResourceFigures | None:
    """Return the lowest ceiling of what was not full; those that the load exceeded are refuted."""
    named = {_key(one) for one in full}
    return next(
        (
            one
            for one in found
            if one.ceiling_per_s and _key(one) not in named and one.kind not in OF_GENERATOR
            if rate is None or one.ceiling_per_s * WITHIN >= rate
        ),
        None,
    )


def _side(capture: Capture, side: Side) -> CauseSide:
    rate = side.requests_per_s or mean(Load(capture).rates, side.points)
    parts = {part: round(ms, 3) for part, ms in side.parts.items() if part != "response"}
    return CauseSide(requests_per_s=rate, response_ms=side.parts.get("response"), parts=parts)


def _full(
    capture: Capture, found: Finding, held: Side | None, broke: Side, frames: Frames | None
) -> Full:
    """Return what the sentence about a finding needs."""
    key, load = found.key, Load(capture)
    figures = _figures(load, key, broke)
    python = capture.resources.get(ResourceKey(key.job, "python"))
    workers = mean(python.places, broke.points) if python else None
    delayed = mean(python.waiting, broke.points) if python else None
    before, after = (_inside(capture, key, side) for side in (held, broke))
    counted = _counted(capture, figures)
    return Full(
        figures=_with_method(figures, counted),
        wait_ms=found.wait_ms,
        workers=workers,
        service=_other_service(capture, key.job),
        statements=_per_request(counted),
        holders=_holders(capture, key, broke),
        run_delay_ratio=delayed / workers if delayed is not None and workers else None,
        throttled_ratio=mean(load.series(key.job, "cpu_throttled_ratio"), broke.points)
        if key.detail == QUOTA
        else None,
        before_ms=before,
        after_ms=after,
        frames=tuple(frames(key)) if frames else (),
    )


def _other_service(capture: Capture, job: str) -> str:
    """Return the name of a service, "" where it is the only one that the swarm drives."""
    return job if [job] != targets(capture) else ""


def _figures(load: Load, key: ResourceKey, broke: Side) -> ResourceFigures:
    """Return the figures of what was full: of a lock without any, what follows from that."""
    figures = figures_of(load, key, broke.points, broke.level)
    rate = mean(load.rates, broke.points) or broke.requests_per_s
    if figures.ceiling_per_s or key.kind not in ONE_AT_A_TIME or not rate:
        return figures
    return replace(
        figures,
        places=1.0,
        used=1.0,
        utilisation=1.0,
        demand_ms=1000 / rate,
        ceiling_per_s=rate,
    )


def _inside(capture: Capture, key: ResourceKey, side: Side | None) -> float | None:
    """Return the mean time in the database, or of a call to another service, in ms."""
    if side is None:
        return None
    if key.kind == "service":
        return mean(capture.calls.get(CallKey(key.job, key.detail, "mean_ms"), []), side.points)
    if key.kind in ("database", "database_lock"):
        job = next(iter(targets(capture)), "")
        return side.parts.get("db") or weighted(Load(capture), job, "part_db_ms", side.points)
    return None


def _counted(capture: Capture, figures: ResourceFigures) -> list[StatementCount]:
    """Return the statements of the route that holds a resource most, in the whole run."""
    if not figures.routes or capture.counts is None:
        return []
    return [
        row
        for row in capture.counts.statements
        if (row.job, row.level, row.url_rule) == (figures.service, WHOLE, figures.routes[0].route)
    ]


def _with_method(figures: ResourceFigures, counted: Sequence[StatementCount]) -> ResourceFigures:
    """Return figures whose first route has its method, where there is only one."""
    methods = {row.method for row in counted}
    if len(methods) != 1 or "" in methods:
        return figures
    first, *others = figures.routes
    named = replace(first, route=f"{methods.pop()} {first.route}")
    return replace(figures, routes=[named, *others])


def _per_request(counted: Sequence[StatementCount]) -> float | None:
    requests = max((row.requests for row in counted), default=0)
    return sum(row.calls for row in counted) / requests if requests else None


def _holders(capture: Capture, key: ResourceKey, broke: Side) -> str:
    """Return what requests mostly do with a worker, where one component dominates."""
    if key.kind != "workers":
        return ""
    means = _components(capture, key.job, broke)
    part = max(means, key=means.__getitem__, default=None)
    if part is None or means[part] < SOLE * sum(means.values()):
        return ""
    return f", {words.milliseconds(means[part])} of it {HOLDERS[part]}"


def _components(capture: Capture, job: str, side: Side) -> Mapping[str, float]:
    load = Load(capture)
    found = {part: weighted(load, job, f"part_{part}_ms", side.points) for part in HOLDERS}
    return {part: ms for part, ms in found.items() if ms is not None}


def _unknown(
    capture: Capture, held: Side | None, broke: Side, grew: str | None, rate: float | None
) -> str:
    busiest = words.busiest(demands(capture, broke.points, broke.level))
    before, after = (side and side.parts.get("response") for side in (held, broke))
    if before and after and after < HARDLY * before:
        parts = {part: ms for part in words.PARTS if (ms := _part(capture, part, broke))}
        if any(part in HOLDERS for part in parts):
            parts.pop("service", None)
        if parts:
            part = max(parts, key=parts.__getitem__)
            return words.slow_at_any_load(rate, after, (part, parts[part]), busiest)
    if grew is None:
        return words.unknown(rate, None, busiest)
    of_part = [_part(capture, grew, side) for side in (held, broke)]
    return words.unknown(rate, (grew, of_part[0], of_part[1] or 0.0), busiest)


def _part(capture: Capture, part: str, side: Side | None) -> float | None:
    if side is None or part in side.parts:
        return side.parts[part] if side else None
    names = {"queue": "queue_mean_ms", "service": "mean_ms"}
    job = next(iter(targets(capture)), "")
    return weighted(Load(capture), job, names.get(part, f"part_{part}_ms"), side.points)
