"""The objective, and whether a level of load holds it, judged while the swarm is running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from swarmscope.client.capacity.figures import Measured, Seconds
from swarmscope.client.objective import Limits
from swarmscope.journal.records import OBJECTIVE_QUANTILE
from swarmscope.runs import sample_size

MIN_ENDPOINT_REQUESTS = sample_size.requests_for_quantile(OBJECTIVE_QUANTILE)
MIN_REQUESTS = 100  # fewer make a poor percentile
MAX_WAIT_WINDOWS = 3  # until there are that many
MAX_SLIDES = 3
HOPELESS_SHARE = 0.5


@dataclass(frozen=True)
class Objective(Limits):
    """The limits of all requests that count, and those of single endpoints ("METHOD NAME")."""

    endpoints: Mapping[str, Limits] = field(default_factory=dict)

    def holds(self, figures: Measured) -> bool:
        """Return whether *figures* are within all limits; nothing answered is not."""
        return self.holds_together(figures) and self.broken_endpoint(figures) is None

    def holds_together(self, figures: Measured) -> bool:
        """Return whether the limits of all requests together hold."""
        return _holds(self, figures)

    def of(self, endpoint: str | None) -> Limits:
        """Return the limits of *endpoint*; None: of all together."""
        return self if endpoint is None else self.endpoints[endpoint]

    def broken_endpoint(self, figures: Measured) -> str | None:
        """Return the first endpoint that exceeds a limit of its own.

        One with too few requests for a percentile exceeds none.
        """
        for endpoint, limits in self.endpoints.items():
            found = figures.endpoints.get(endpoint, Measured())
            if found.requests >= MIN_ENDPOINT_REQUESTS and not _holds(limits, found):
                return endpoint
        return None

    def holds_easily(self, figures: Measured) -> bool:
        """Return whether no more need be seen: nothing failed, nothing came near a limit."""
        return (
            figures.requests >= MIN_REQUESTS
            and _is_far(self, figures)
            and all(self._is_far_at(endpoint, figures) for endpoint in self.endpoints)
        )

    def _is_far_at(self, endpoint: str, figures: Measured) -> bool:
        found = figures.endpoints.get(endpoint, Measured())
        return found.requests >= MIN_ENDPOINT_REQUESTS and _is_far(self.endpoints[endpoint], found)

    def words(self) -> str:
        """Return the objective in words, those of single endpoints included."""
        own = "".join(
            f", of {endpoint} {_limits(limits)}" for endpoint, limits in self.endpoints.items()
        )
        return f"{_limits(self)}{own}"


def _holds(limits: Limits, figures: Measured) -> bool:
    """Return whether *figures* are within both limits; nothing answered is not."""
    return (
        (figures.timed > 0 or (limits.limit_ms == inf and figures.requests > 0))
        and figures.slow <= (1 - OBJECTIVE_QUANTILE) * figures.timed
        and figures.failed <= limits.fail_ratio * figures.requests
    )


def _is_far(limits: Limits, figures: Measured) -> bool:
    """Return whether nothing failed and nothing came near the limit."""
    total = figures.parts.get("response")
    return not figures.failed and (total is None or total.max_ms < limits.limit_ms / 2)


def _limits(limits: Limits) -> str:
    latency = "" if limits.limit_ms == inf else f"p95 within {limits.limit_ms:,.0f} ms"
    failed = "" if limits.fail_ratio == 1 else f"at most {limits.fail_ratio * 100:g} % failures"
    return " and ".join(filter(None, (latency, failed))) or "no limit"


class Trial:
    """One level of load, from the end of its warm-up.

    What passes, such as a backlog left by the level before, does not count against it: when only
    the first half of the window broke, the window moves on.
    """

    def __init__(self, objective: Objective, window_s: int, begin: int, careful: bool) -> None:
        self.begin = begin
        self._objective = objective
        self._window_s = window_s
        self._careful = careful  # tried before: measure the whole window
        self._slides = 0

    def decide(self, seconds: Seconds, until: int) -> bool | None:
        """Return whether the objective holds by what was measured before *until*; None: not yet."""
        whole = seconds.between(self.begin, until)
        lasted = until - self.begin
        if (
            not self._careful
            and lasted >= self._window_s / 4
            and self._objective.holds_easily(whole)
        ):
            return True
        if lasted >= self._window_s / 2 and self._hopeless(seconds, until):
            return False
        if lasted < self._window_s or self._too_few(whole, lasted):
            return None
        if self._objective.holds(whole):
            return True
        return self._slide(seconds, until)

    def _too_few(self, whole: Measured, lasted: int) -> bool:
        return whole.requests < MIN_REQUESTS and lasted < MAX_WAIT_WINDOWS * self._window_s

    def _hopeless(self, seconds: Seconds, until: int) -> bool:
        """Whether most requests are too slow and do not get any quicker."""
        quarter = max((until - self.begin) // 4, 1)
        first = seconds.between(self.begin, self.begin + quarter)
        last = seconds.between(until - quarter, until)
        before, now = first.mean_ms("response"), last.mean_ms("response")
        if before is None or now is None:
            return False
        return last.slow > HOPELESS_SHARE * last.timed and now > 0.9 * before

    def _slide(self, seconds: Seconds, until: int) -> bool | None:
        middle = (self.begin + until) // 2
        if self._slides < MAX_SLIDES and self._objective.holds(seconds.between(middle, until)):
            self._slides += 1
            self.begin = middle
            return None
        return False
