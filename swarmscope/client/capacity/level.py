"""What one level of a search for the capacity did, in figures and as a line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from swarmscope.client.capacity.figures import Measured

HELD, BROKE, UNDECIDED = "held", "broke", "undecided"


@dataclass(frozen=True)
class LevelReport:
    """One trial of a level; latencies in ms, None where nobody measured."""

    users: int
    outcome: str  # held, broke, undecided
    measured_s: float
    requests: int
    requests_per_s: float | None
    fail_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    service_p95_ms: float | None
    queue_p95_ms: float | None
    outside_p95_ms: float | None
    broken_endpoint: str | None  # that exceeded a limit of its own
    endpoint_p95_ms: float | None  # of that endpoint
    saturated: bool  # the load generator was
    limited: bool  # and so it says nothing of the application

    @classmethod
    def of(
        cls,
        users: int,
        outcome: str,
        figures: Measured,
        seconds: float,
        saturated: bool,
        limited: bool,
        endpoint: str | None,
    ) -> LevelReport:
        """Return what *figures*, measured for *seconds*, amount to."""
        requests = figures.requests
        own = figures.endpoints.get(endpoint or "", Measured())
        return cls(
            users=users,
            outcome=outcome,
            measured_s=seconds,
            requests=requests,
            requests_per_s=requests / seconds if seconds > 0 else None,
            fail_ratio=figures.failed / requests if requests else None,
            p50_ms=figures.percentile_ms("response", 0.5),
            p95_ms=figures.percentile_ms("response", 0.95),
            p99_ms=figures.percentile_ms("response", 0.99),
            service_p95_ms=figures.percentile_ms("service", 0.95),
            queue_p95_ms=figures.percentile_ms("queue", 0.95),
            outside_p95_ms=figures.percentile_ms("outside", 0.95),
            broken_endpoint=endpoint,
            endpoint_p95_ms=own.percentile_ms("response", 0.95),
            saturated=saturated,
            limited=limited,
        )

    def details(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """Return the line for the log."""
        figures = "no requests"
        if self.requests_per_s is not None and self.fail_ratio is not None:
            figures = (
                f"{self.requests_per_s:,.1f} requests/s, p95 {milliseconds(self.p95_ms)}, "
                f"{self.fail_ratio * 100:.3g} % failed"
            )
        own = ""
        if self.broken_endpoint:
            own = f"; {self.broken_endpoint}: p95 {milliseconds(self.endpoint_p95_ms)}"
        but = "; the load generator was saturated" if self.saturated else ""
        lasted = f" in {self.measured_s:,.0f} s" if self.measured_s > 0 else ""
        return f"{self.users:,} users {self.outcome}: {figures}{lasted}{own}{but}"


def milliseconds(value: float | None) -> str:
    """Return a latency with its unit, for sentences."""
    if value is None:
        return "unknown"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"
