"""The verdict of a capacity search: figures, the reason, how sure it is, all in a sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from swarmscope.client.capacity.figures import Measured
from swarmscope.client.capacity.level import counted, milliseconds
from swarmscope.client.objective import Limits
from swarmscope.runs.thresholds import EARLY

if TYPE_CHECKING:
    from swarmscope.runs.document import Cause

PARTS = {
    "service": "the application took longer",
    "queue": "requests waited longer in the queue",
    "receiving": "responses took longer to receive",
    "outside": "more time passed outside the application",
}


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of a part of the response time, in ms; None where it was not measured."""

    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, figures: Measured, part: str) -> Percentiles:
        """Return the percentiles of *part*."""
        return cls(*(figures.percentile_ms(part, share) for share in (0.5, 0.95, 0.99)))


TIME, USERS, STOPPED, SILENCE, ERROR = EARLY


@dataclass(frozen=True)
class EarlyEnd:
    """What ended a search early, before its answer was narrowed down."""

    limit: str  # time, users (some were missing), stopped, silence (no requests), error
    reason: str  # a clause


@dataclass(frozen=True)
class CapacityVerdict:
    """The max users at which the objective held, and what broke beyond them.

    `limit` says what ended the search: ``service`` (it broke), ``generator`` (it saturated first),
    ``bound`` (no more users were allowed) or, before its end, an `EarlyEnd`; with all but the first
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
    broken_part: str | None  # one of `PARTS`, or failures; None if unknown
    confirmed: bool
    levels: int
    seconds: float
    requests: str  # patterns of the requests that count; empty: see `selection`
    left_out: dict[str, int]  # requests that do not count, by type
    notes: tuple[str, ...]  # sentences that follow the answer
    cause: Cause | None = None  # what broke, where Prometheus knows it

    @property
    def at_least(self) -> bool:
        """Whether the service may be able to take more."""
        return self.limit != "service"

    def details(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {**asdict(self), "at_least": self.at_least}

    def sentence(self) -> str:
        """Return the answer in words, followed by its notes."""
        answer = self._partial() if self._is_partial else self._answer()
        texts = (answer, self.cause.sentence if self.cause else "", self._confidence())
        return " ".join(filter(None, (*texts, *self.notes)))

    @property
    def _is_partial(self) -> bool:
        return self.limit in EARLY

    def _partial(self) -> str:
        """Return what is known of a search that ended early."""
        if self.broken_users is None and not self.users:
            return f"Nothing is known about the application: {self.reason}."
        if not self.users:
            users = counted(self.broken_users or 0)
            return (
                f"The application cannot meet {self.objective} with {users}{self._broken()}."
                f" Fewer were not tried: {self.reason}."
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
                "Nothing is known about the application:"
                " the load generator saturated at the first level."
            )
        least = "at least " if self.at_least else ""
        return (
            f"The application can handle {least}{_rate(self.requests_per_s)} requests per second "
            f"from {least}{counted(self.users)}, with {self.objective} "
            f"(p95 there {milliseconds(self.response.p95)}){self._why()}."
        )

    def _why(self) -> str:
        if self.limit == "generator":
            return "; the load generator saturated first, so the application's limit may be higher"
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
            return f"; at {counted(self.broken_users)} {failed}{whose} failed"
        p95 = milliseconds(self.broken_p95_ms)
        text = f"; at {counted(self.broken_users)} p95{whose} was {p95}"
        if self.cause:
            return text
        return f"{text}: {PARTS.get(self.broken_part or '', 'where the time went is unknown')}"

    def _confidence(self) -> str:
        if self.at_least or not self.users:
            return ""
        if self.confirmed:
            return "Confirmed: both levels were repeated with the same result."
        if self.reason:
            return f"Not confirmed: {self.reason}."
        return "Not confirmed: repeated levels did not agree, or were not repeated."


def broken_part(limits: Limits, held: Measured, broke: Measured) -> str | None:
    """Return what broke: failures, or the part whose mean grew most from *held* to *broke*.

    None where more of the growth is in no known part.
    """
    if broke.failed > limits.fail_ratio * broke.requests:
        return "failures"
    growth = {
        part: after - (held.mean_ms(part) or 0.0)
        for part in ("response", *PARTS)
        if (after := broke.mean_ms(part)) is not None
    }
    unknown = growth.pop("response", 0.0) - sum(growth.values())
    part = max(growth, key=growth.__getitem__, default=None)
    return part if part and growth[part] >= unknown else None


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
