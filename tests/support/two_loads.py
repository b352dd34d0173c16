"""A capture of two loads, one that held and one that broke: a pair of values of each figure."""

from __future__ import annotations

from collections.abc import Mapping

from support.stored_runs import START
from swarmscope.runs.causes.ends import Side
from swarmscope.runs.resources.model import Points, ResourceKey, RouteDemand, Usage
from swarmscope.runs.server_series import CallKey, Capture
from swarmscope.runs.services import CALLED, TARGET, Service

POINTS = 20  # of each load
HELD, BROKE = range(POINTS), range(POINTS, 2 * POINTS)
Pair = tuple[float | None, float | None]
Figures = Mapping[str, Pair]  # by the name of a quantity
Used = tuple[float, Pair, Pair]  # places, in use, waiting


def over_time(pair: Pair) -> Points:
    """Return the values of both loads, which vary by 2 % from point to point."""
    return [
        None if value is None else value * (1 + 0.02 * (-1) ** number)
        for value in pair
        for number in range(POINTS)
    ]


def constant(value: float) -> Points:
    """Return the same at both loads."""
    return [value] * (2 * POINTS)


def capture(
    series: Mapping[str, Figures],
    resources: Mapping[ResourceKey, Used],
    calls: Mapping[CallKey, Pair] | None = None,
    places: Mapping[str, str | None] | None = None,
    demands: tuple[RouteDemand, ...] = (),
) -> Capture:
    """Return what was measured; *series* are by service, the first one is the swarm's target."""
    jobs = [job for job in series if job]
    services = [Service(job, CALLED if number else TARGET) for number, job in enumerate(jobs)]
    return Capture(
        START,
        2.0,
        {(job, name): over_time(v) for job, found in series.items() for name, v in found.items()},
        tuple(services),
        {key: over_time(pair) for key, pair in (calls or {}).items()},
        places or {},
        None,
        {
            key: Usage(constant(number), over_time(used), over_time(waiting))
            for key, (number, used, waiting) in resources.items()
        },
        demands,
    )


def sides(client: Figures) -> tuple[Side, Side]:
    """Return both sides as the client measured them, means in ms."""
    held, broke = (
        {part: value for part, pair in client.items() if (value := pair[side]) is not None}
        for side in (0, 1)
    )
    return Side(HELD, held), Side(BROKE, broke)
