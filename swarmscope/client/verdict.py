"""A capacity run's answer: figures, the reason, how sure it is, and the sentence that says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from swarmscope.client.measurement import Measured
from swarmscope.client.objective import Objective

PARTS = {
    "app": "the application itself",
    "queue": "the queue in front of the application",
    "outside": "the way back, outside of the application",
}


@dataclass(frozen=True)
class Percentiles:
    """Of one part of latency, in ms; None where the service sends no Server-Timing."""

    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, figures: Measured, part: str) -> Percentiles:
        """Return the percentiles of *part*."""
        return cls(*(figures.percentile_ms(part, share) for share in (0.5, 0.95, 0.99)))


@dataclass(frozen=True)
class Verdict:
    """The most users at which the objective held, and what broke beyond them.

    `limit` says what ended the search: ``service`` (it broke), ``generator`` (it saturated first)
    or ``bound`` (no more users were allowed); with the last two the answer is "at least".
    """

    users: int
    requests_per_s: float
    total: Percentiles
    app: Percentiles
    queue: Percentiles
    outside: Percentiles
    limit_ms: float
    fail_ratio: float
    limit: str
    broken_users: int | None
    broken_p95_ms: float | None
    broken_part: str | None  # app, queue, outside, failures; None when nobody can tell
    confirmed: bool
    levels: int
    seconds: float

    @property
    def at_least(self) -> bool:
        """Whether the service may be able to take more."""
        return self.limit != "service"

    def details(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {**asdict(self), "at_least": self.at_least}

    def sentence(self) -> str:
        """Return the answer in words."""
        if not self.users and not self.at_least:
            return (
                f"The application cannot meet {self._objective()} even with one user{self._why()}."
            )
        if not self.users:
            return (
                "Nothing is known of the application: the generator saturated at the first level."
            )
        least = "at least " if self.at_least else ""
        return (
            f"The application can handle {least}{_rate(self.requests_per_s)} requests per second "
            f"from {least}{self.users:,} users, with {self._objective()} "
            f"(p95 there {_ms(self.total.p95)}){self._why()}.{self._confidence()}"
        )

    def _objective(self) -> str:
        return f"p95 within {_ms(self.limit_ms)} and at most {self.fail_ratio * 100:g} % failures"

    def _why(self) -> str:
        if self.limit == "generator":
            return "; then the generator saturated, so this is no limit of the application"
        if self.limit == "bound":
            return "; no more users were tried"
        words = {"failures": "requests failed", None: "its parts are unknown"}
        part = self.broken_part
        reason = words[part] if part not in PARTS else f"{PARTS[part]} grew most"
        return f"; at {self.broken_users:,} users p95 was {_ms(self.broken_p95_ms)}: {reason}"

    def _confidence(self) -> str:
        if self.at_least:
            return ""
        if self.confirmed:
            return " Confirmed: fallen back below and come again."
        return " Not confirmed: repeated levels did not agree, or were not repeated."


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f} ms"


def broken_part(objective: Objective, held: Measured, broke: Measured) -> str | None:
    """Return what broke: failures, or the part whose mean grew most from *held* to *broke*."""
    if broke.failed > objective.fail_ratio * broke.requests:
        return "failures"
    growth = {}
    for part in PARTS:
        before, after = held.mean_ms(part) or 0.0, broke.mean_ms(part)
        if after is not None:
            growth[part] = after - before
    return max(growth, key=growth.__getitem__) if growth else None


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
