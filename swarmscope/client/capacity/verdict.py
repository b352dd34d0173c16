"""A capacity run's answer: figures, the reason, how sure it is, and the sentence that says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from swarmscope.client.capacity.figures import Measured
from swarmscope.client.capacity.level import milliseconds
from swarmscope.client.capacity.trial import Limits
from swarmscope.runs.thresholds import EARLY

PARTS = {
    "service": "the application itself",
    "queue": "the queue in front of the application",
    "receiving": "the time to receive responses",
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


TIME, USERS, STOPPED, SILENCE, ERROR = EARLY


@dataclass(frozen=True)
class Ending:
    """What ended a search before its answer was narrowed down."""

    limit: str  # time, users (they were not there), stopped, silence (no requests), error
    reason: str  # a clause for people


@dataclass(frozen=True)
class Verdict:
    """The most users at which the objective held, and what broke beyond them.

    `limit` says what ended the search: ``service`` (it broke), ``generator`` (it saturated first),
    ``bound`` (no more users were allowed) or, before its end, an `Ending`; with all but the first
    the answer is "at least".
    """

    users: int
    requests_per_s: float
    response: Percentiles
    service: Percentiles
    queue: Percentiles
    outside: Percentiles
    limit_ms: float
    fail_ratio: float
    objective: str  # in words, with the limits of single endpoints
    limit: str
    reason: str  # why the search ended early; else empty
    broken_users: int | None
    broken_endpoint: str | None  # whose own limit broke; None: that of all together
    broken_p95_ms: float | None
    broken_fail_ratio: float | None
    broken_part: str | None  # app, queue, outside, failures; None when nobody can tell
    confirmed: bool
    levels: int
    seconds: float
    requests: str  # patterns of the requests that count; empty: see `selection`
    left_out: dict[str, int]  # requests that do not count, by type
    notes: tuple[str, ...]  # sentences to be said beside the answer

    @property
    def at_least(self) -> bool:
        """Whether the service may be able to take more."""
        return self.limit != "service"

    def details(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {**asdict(self), "at_least": self.at_least}

    def sentence(self) -> str:
        """Return the answer in words, with all that is to be said beside it."""
        answer = self._partial() if self._is_partial else self._answer()
        return " ".join((answer, *self.notes))

    @property
    def _is_partial(self) -> bool:
        return self.limit in EARLY

    def _partial(self) -> str:
        """Return what is known although the search ended early."""
        if self.broken_users is None and not self.users:
            return f"Nothing is known of the application: {self.reason}."
        if not self.users:
            return (
                f"The application cannot meet {self.objective} with {self.broken_users:,} users"
                f"{self._broken()}. Fewer were not tried: {self.reason}."
            )
        below = "" if self.broken_users is None else f", below {self.broken_users:,}"
        return (
            f"The application can handle at least {_rate(self.requests_per_s)} requests per second "
            f"from at least {self.users:,}{below} users: {self.reason}. "
            f"The objective is {self.objective} (p95 there {milliseconds(self.response.p95)})"
            f"{self._broken()}."
        )

    def _answer(self) -> str:
        if not self.users and not self.at_least:
            return f"The application cannot meet {self.objective} even with one user{self._why()}."
        if not self.users:
            return (
                "Nothing is known of the application: the generator saturated at the first level."
            )
        least = "at least " if self.at_least else ""
        return (
            f"The application can handle {least}{_rate(self.requests_per_s)} requests per second "
            f"from {least}{self.users:,} users, with {self.objective} "
            f"(p95 there {milliseconds(self.response.p95)}){self._why()}.{self._confidence()}"
        )

    def _why(self) -> str:
        if self.limit == "generator":
            return "; then the generator saturated, so this is no limit of the application"
        if self.limit == "bound":
            return "; no more users were tried"
        return self._broken()

    def _broken(self) -> str:
        """Return what happened at the level that broke."""
        if self.broken_users is None:
            return ""
        whose = f" of {self.broken_endpoint}" if self.broken_endpoint else ""
        if self.broken_part == "failures":
            failed = f"{(self.broken_fail_ratio or 0) * 100:.3g} % of requests"
            return f"; at {self.broken_users:,} users {failed}{whose} failed"
        reason = "its parts are unknown"
        if self.broken_part:
            reason = f"{PARTS[self.broken_part]} grew most"
        p95 = milliseconds(self.broken_p95_ms)
        return f"; at {self.broken_users:,} users p95{whose} was {p95}: {reason}"

    def _confidence(self) -> str:
        if self.at_least:
            return ""
        if self.confirmed:
            return " Confirmed: fallen back below and come again."
        if self.reason:
            return f" Not confirmed: {self.reason}."
        return " Not confirmed: repeated levels did not agree, or were not repeated."


def broken_part(limits: Limits, held: Measured, broke: Measured) -> str | None:
    """Return what broke: failures, or the part whose mean grew most from *held* to *broke*."""
    if broke.failed > limits.fail_ratio * broke.requests:
        return "failures"
    growth = {}
    for part in PARTS:
        before, after = held.mean_ms(part) or 0.0, broke.mean_ms(part)
        if after is not None:
            growth[part] = after - before
    return max(growth, key=growth.__getitem__) if growth else None


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
