"""What is known of a run whose connection pool was full."""

from __future__ import annotations

from datetime import datetime

from swarmscope.runs.document import (
    Cause,
    CauseSide,
    QueueParts,
    ResourceFigures,
    RouteHold,
)
from swarmscope.runs.resources.model import ResourceKey, Usage
from swarmscope.runs.server_series import Capture

POINTS = 45  # two seconds apart
POOL = ResourceKey("api", "pool", "<b>main</b>")


def _figures(key: ResourceKey, **figures: object) -> ResourceFigures:
    unknown = dict.fromkeys(
        ("places", "others", "used", "utilisation", "waiting", "demand_ms", "ceiling_per_s",
         "ceiling_low_per_s", "ceiling_high_per_s")
    )  # fmt: skip
    name = {"service": key.job or None, "kind": key.kind, "detail": key.detail, "words": key.words}
    return ResourceFigures(**{**name, **unknown, "forecast": False, **figures})  # type: ignore[arg-type]


def _ceiling(value: float, low: float, high: float) -> dict[str, float]:
    return {"ceiling_per_s": value, "ceiling_low_per_s": low, "ceiling_high_per_s": high}


RESOURCES = [
    _figures(
        POOL, places=10.0, used=9.7, utilisation=0.97, waiting=41.2, demand_ms=74.0,
        routes=[RouteHold(route="GET /orders", held_ms=74.2, share=0.96),
                RouteHold(route="GET /items", held_ms=2.1, share=0.04)],
        **_ceiling(135, 118, 155),
    ),
    _figures(
        ResourceKey("api", "python"), places=2.0, used=0.48, utilisation=0.24, waiting=0.1,
        demand_ms=6.1, **_ceiling(328, 301, 360),
    ),
    _figures(
        ResourceKey("", "cpu"), places=4.0, others=0.3, used=0.88, utilisation=0.22, demand_ms=7.0,
        **_ceiling(528, 470, 590),
    ),
    _figures(ResourceKey("api", "memory"), places=2.0**33, utilisation=0.55),
]  # fmt: skip
CAUSE = Cause(
    kind="pool",
    detail=POOL.detail,
    service="api",
    words=POOL.words,
    sentence="At 131 requests/s the 10 connections of the pool <b>main</b> were in use 97 % of the"
    " time and requests waited 380 ms for one; GET /orders holds one for 74 ms in 41 statements."
    " Next: Python in the workers, at about 328 requests/s.",
    agrees=True,
    grew="queue",
    held=CauseSide(requests_per_s=80.0, response_ms=90.0, parts={"queue": 5.0}),
    broke=CauseSide(requests_per_s=131.0, response_ms=480.0, parts={"queue": 380.0}),
    next=RESOURCES[1],
)
QUEUE = QueueParts(
    queue_ms=380.0,
    generator_lag_ms=None,
    accept_queue_ms=300.0,
    worker_queue_ms=None,
    cpu_wait_ms=50.0,
    rest_ms=30.0,
)


def full_capture(since: datetime) -> Capture:
    """Return what was stored of it: the use of three resources over 90 s."""
    unknown: list[float | None] = [None] * POINTS
    resources = {
        ResourceKey("api", "memory"): Usage([100.0] * POINTS, [1.0] * POINTS, unknown),
        ResourceKey("api", "python"): Usage([2.0] * POINTS, [0.4, *[0.6] * (POINTS - 1)], unknown),
        POOL: Usage([10.0] * POINTS, [min(10.0, at / 3) for at in range(POINTS)], unknown),
        ResourceKey("api", "service", "pricing:80"): Usage(unknown, [3.0] * POINTS, unknown),
    }
    series = {("api", "requests_per_s"): [19.5] * POINTS}
    return Capture(since, 2.0, series, resources=resources)
