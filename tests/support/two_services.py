"""What Prometheus has of a shop that asks another service for a price in every tenth request."""

from __future__ import annotations

from datetime import datetime

from swarmscope.runs.server_series import CallKey, Capture
from swarmscope.runs.services import Service

AT = "127.0.0.1:5001"


def two_services(
    start: datetime,
    wait_ms: float = 240.0,
    itself_ms: float | None = 235.0,
    queue_ms: float = 1.0,
    service: str | None = "pricing",
    rarely: float = 1.0,
) -> Capture:
    """Return 20 s of it: the busiest moment has 300 requests/s, and the first none."""
    series = {
        ("shop", "requests_per_s"): [None, 0.0, 100.0, 100.0, 300.0, 0.0],
        ("shop", "errors_per_s"): [None, 0.0, 1.0, 1.0, 3.0, 0.0],
        ("shop", "mean_ms"): [None, None, 50.0, 50.0, 30.0, None],
        ("pricing", "requests_per_s"): [None, 0.0, 10.0, 10.0, 30.0, 0.0],
        ("pricing", "mean_ms"): [None, None, itself_ms, itself_ms, itself_ms, None],
        ("pricing", "queue_mean_ms"): [None, None, queue_ms, queue_ms, queue_ms, None],
        ("idle", "requests_per_s"): [0.0] * 6,
    }
    calls = {
        CallKey("shop", AT, "calls_per_s"): [
            *(None, 0.0),
            *(rarely * rate for rate in (10.0, 10.0, 30.0)),
            0.0,
        ],
        CallKey("shop", AT, "errors_per_s"): [None, 0.0, 0.0, 0.0, 3.0, 0.0],
        CallKey("shop", AT, "mean_ms"): [None, None, wait_ms, wait_ms, wait_ms, None],
    }
    services = Service("shop", "target"), Service("pricing", "called"), Service("idle", "named")
    return Capture(start, 4.0, series, services, calls, {AT: service})
