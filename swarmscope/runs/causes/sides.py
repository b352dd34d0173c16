"""Which seconds of a run held its objective and which broke it, and what requests took in each.

Seconds are judged in blocks, as long as a few make a percentile and a rate. Those beside a block of
the other kind are left out: rates look back over them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil

from swarmscope.runs import captures, document
from swarmscope.runs.causes.ends import Side
from swarmscope.runs.connection import Connection
from swarmscope.runs.counters import Level
from swarmscope.runs.document import Document, LevelResult, ObjectiveResult
from swarmscope.runs.histogram import COMPONENTS
from swarmscope.runs.server_series import Capture

BLOCK_S = 5.0
MAX_BLOCKS = 36  # of a side: enough for means, and bounded where runs are long
MIN_LEFT = 3  # blocks, before those beside the other side are left out
NEAR = 0.5  # of the highest rate that held: far below, a service shows little
LIVE_S = 30.0
MIN_REQUESTS = 5  # of an endpoint, for a mean
COVERED = 0.5  # of the requests that broke: their endpoints have to have been there before

Span = tuple[float, float]  # seconds since the run's start
Sums = Mapping[tuple[str, str], Mapping[str, tuple[float, float]]]  # count and ms, by part


@dataclass(frozen=True)
class Block:
    """Some seconds of a run, and whether they held the objective."""

    since_s: float
    until_s: float
    requests_per_s: float
    held: bool | None  # None: some seconds held, others did not


def of_run(
    connection: Connection, run_id: datetime, made: Document, capture: Capture
) -> tuple[Side | None, Side] | None:
    """Return the load that held a run's objective, None if none did, and the one that broke it.

    None if nothing broke. While the run is running, what broke are its last seconds.
    """
    begin_s = made.since_s or 0.0
    is_over = made.run.ended is not None
    found = blocks(made.points, made.objective)
    broke = [one for one in found if one.held is False and one.since_s >= begin_s]
    if not is_over and found:
        broke = [one for one in broke if one.since_s >= found[-1].until_s - LIVE_S]
    held = [one for one in found if one.held]
    if not broke or (is_over and made.objective.met is not False):
        return None
    highest = max((one.requests_per_s for one in held), default=0.0)
    held = [one for one in held if one.requests_per_s >= NEAR * highest]
    chosen = [_spans(_apart(one, other)) for one, other in ((held, broke), (broke, held))]
    both = _sides(connection, run_id, made, capture, *chosen)
    if both is None or made.run.ended is None:
        return both
    levels = captures.levels(connection, run_id, made.run.ended)
    before, after = (one and replace(one, level=_level(one, levels)) for one in both)
    assert after
    return before, after


def _level(side: Side, levels: Sequence[Level]) -> int:
    """Return the level of the run's shape in which most of a side lies; 0 without levels."""
    shared = {
        level.number: sum(
            (max(min(until, level.until) - max(since, level.since), timedelta())).total_seconds()
            for since, until in side.spans
        )
        for level in levels
    }
    number = max(shared, key=shared.__getitem__, default=0)
    return number if shared.get(number) else 0


def of_levels(
    connection: Connection, run_id: datetime, made: Document, capture: Capture
) -> tuple[Side | None, Side] | None:
    """Return the highest level of a search that held, and the lowest that broke; None without."""
    broke = [level for level in made.levels if level.outcome == "broke" and not level.limited]
    if not broke:
        return None
    users = min(level.users for level in broke)
    held = [level for level in made.levels if level.outcome == "held" and level.users < users]
    most = max((level.users for level in held), default=0)
    chosen = (
        [one for one in held if one.users == most],
        [one for one in broke if one.users == users],
    )
    both = _sides(connection, run_id, made, capture, *(_of_levels(each) for each in chosen))
    if both is None:
        return None
    numbers = [made.levels.index(each[0]) + 1 if each else 0 for each in chosen]
    return (both[0] and replace(both[0], level=numbers[0]), replace(both[1], level=numbers[1]))


def _of_levels(levels: Iterable[LevelResult]) -> list[Span]:
    return [(level.t_s - level.measured_s, level.t_s) for level in levels]


def blocks(points: document.Points, objective: ObjectiveResult) -> list[Block]:
    """Return the blocks of a run in which requests finished, in order."""
    size = max(1, ceil(BLOCK_S / points.width_s))
    found = []
    for _, group in groupby(range(len(points.t_s)), key=lambda at: at // size):
        numbers = [at for at in group if points.requests_per_s[at]]
        if numbers:
            found.append(_block(points, objective, numbers))
    return found


def _block(points: document.Points, objective: ObjectiveResult, numbers: Sequence[int]) -> Block:
    weights = [points.requests_per_s[at] for at in numbers]
    slow = [points.response.p95_ms[at] for at in numbers]
    share = sum(
        weight
        for weight, p95_ms, at in zip(weights, slow, numbers, strict=True)
        if (p95_ms is not None and p95_ms > objective.limit_ms)
        or points.failures_per_s[at] > objective.fail_ratio * points.requests_per_s[at]
    ) / sum(weights)
    since_s = points.t_s[numbers[0]]
    until_s = points.t_s[numbers[-1]] + points.width_s
    held = True if share <= 1 / len(numbers) / 2 else False if share > 0.5 else None
    return Block(since_s, until_s, sum(weights) / len(weights), held)


def _apart(own: Sequence[Block], other: Sequence[Block]) -> list[Block]:
    """Return the blocks that none of the *other* side touches, unless those are too few."""
    ends = {end for one in other for end in (one.since_s, one.until_s)}
    apart = [one for one in own if not {one.since_s, one.until_s} & ends]
    chosen = apart if len(apart) >= MIN_LEFT else list(own)
    return sorted(chosen, key=lambda one: -one.requests_per_s)[:MAX_BLOCKS]


def _spans(chosen: Iterable[Block]) -> list[Span]:
    return sorted((one.since_s, one.until_s) for one in chosen)


def _sides(
    connection: Connection,
    run_id: datetime,
    made: Document,
    capture: Capture,
    held: Sequence[Span],
    broke: Sequence[Span],
) -> tuple[Side | None, Side] | None:
    """Return both sides, the one that held as if it had had the other's mix of requests."""
    before, after = (_sums(connection, run_id, made, spans) for spans in (held, broke))
    shared = {
        key: parts
        for key, parts in after.items()
        if before.get(key, {}).get("response", (0, 0))[0] >= MIN_REQUESTS
    }
    if not after:
        return None
    is_same = _requests(shared) >= COVERED * _requests(after)
    own = shared if is_same else after
    after_side = side(made, capture, broke, _means(own, own))
    if not is_same:
        return None, after_side
    return side(made, capture, held, _means(before, own)), after_side


def side(
    made: Document, capture: Capture, spans: Sequence[Span], parts: Mapping[str, float]
) -> Side:
    """Return what a capture has in *spans*, with the client's means."""
    offset_s = (capture.since - made.run.started).total_seconds()
    length = max(map(len, (*capture.series.values(), [])), default=0)
    length = max([length, *(len(usage.used) for usage in capture.resources.values())])
    moments = [(number, offset_s + number * capture.step_s) for number in range(length)]
    inside = [n for n, at in moments if any(since <= at < until for since, until in spans)]
    rates = [
        rate
        for at, rate in zip(made.points.t_s, made.points.requests_per_s, strict=True)
        if any(since <= at < until for since, until in spans)
    ]
    rate = sum(rates) / len(rates) if rates else None
    start = made.run.started
    times = [(start + timedelta(seconds=a), start + timedelta(seconds=b)) for a, b in spans]
    return Side(inside, parts, rate, spans=times)


def _requests(sums: Sums) -> float:
    return sum(parts["response"][0] for parts in sums.values() if "response" in parts)


def _means(sums: Sums, mix: Sums) -> dict[str, float]:
    """Return the mean of each part, each endpoint as often as in *mix*."""
    found: dict[str, float] = {}
    for part in {part for parts in mix.values() for part in parts}:
        rows = [
            (_weight(parts, part), *sums[key][part])
            for key, parts in mix.items()
            if part in parts and part in sums.get(key, {})
        ]
        weight = sum(row[0] for row in rows)
        if weight:
            found[part] = sum(w * ms / count for w, count, ms in rows if count) / weight
    if "uncorrected" in found:
        found["start_delay"] = max(found["response"] - found.pop("uncorrected"), 0.0)
    return found


def _weight(parts: Mapping[str, tuple[float, float]], part: str) -> float:
    return parts[part][0]


def _sums(connection: Connection, run_id: datetime, made: Document, spans: Sequence[Span]) -> Sums:
    """Return the requests and the ms of each endpoint and part in *spans*.

    Of a component, requests that did without count with 0; see `queries.component_summary`.
    """
    started = made.run.started
    ends = [[started + timedelta(seconds=span[end]) for span in spans] for end in (0, 1)]
    width_s = made.points.width_s
    resolution = 1 if width_s < 2 else 10 if width_s < 20 else 60
    rows = connection.execute(
        "SELECT h.name, h.request_type, h.part, sum(h.count)::float, sum(h.sum_ms)"
        " FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS span (since, until)"
        " CROSS JOIN LATERAL (SELECT * FROM histogram i WHERE i.run_id = %s AND i.resolution = %s"
        " AND i.time >= span.since AND i.time < span.until AND i.part NOT LIKE '%%calls'"
        " AND (i.name <> '' OR i.request_type <> '') OFFSET 0) h GROUP BY 1, 2, 3",
        [*ends, run_id, resolution],
    )
    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    for name, request_type, part, count, sum_ms in rows:
        found[name, request_type][part] = (count, sum_ms or 0.0)
    for parts in found.values():
        if measured := parts.get("cpu"):
            for part in COMPONENTS:
                parts[part] = (measured[0], parts.get(part, (0, 0.0))[1])
    return found
