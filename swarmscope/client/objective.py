"""The objective, and whether one level of load holds it, judged while the swarm is on."""

from __future__ import annotations

from dataclasses import dataclass

from swarmscope.client.measurement import Measured, Seconds

QUANTILE = 0.95
LEAST_REQUESTS = 100  # or a percentile says little
LONGEST_WAIT = 3  # windows, for that many
MOST_SLIDES = 3
HOPELESS_SHARE = 0.5


@dataclass(frozen=True)
class Objective:
    """A limit on client latency at p95, and on failures."""

    limit_ms: float
    fail_ratio: float

    def holds(self, figures: Measured) -> bool:
        """Tell whether *figures* are within both limits; nothing answered is not."""
        return (
            figures.requests > 0
            and figures.slow <= (1 - QUANTILE) * figures.requests
            and figures.failed <= self.fail_ratio * figures.requests
        )

    def holds_easily(self, figures: Measured) -> bool:
        """Tell whether no more need be seen: nothing failed, nothing came near the limit."""
        easily = figures.requests >= LEAST_REQUESTS and not figures.failed
        return easily and figures.parts["total"].max_ms < self.limit_ms / 2


class Trial:
    """One level of load, from the second at which it had settled.

    What is over as the seconds pass, such as a backlog that the level before left behind, is not
    held against it: when only the first half of the window broke, the window moves on.
    """

    def __init__(self, objective: Objective, window_s: int, begin: int, careful: bool) -> None:
        self.begin = begin
        self._objective = objective
        self._window_s = window_s
        self._careful = careful  # the level has been tried before: see all of the window
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
        return whole.requests < LEAST_REQUESTS and lasted < LONGEST_WAIT * self._window_s

    def _hopeless(self, seconds: Seconds, until: int) -> bool:
        """Whether most requests are too slow and do not get any quicker."""
        quarter = max((until - self.begin) // 4, 1)
        first = seconds.between(self.begin, self.begin + quarter)
        last = seconds.between(until - quarter, until)
        before, now = first.mean_ms("total"), last.mean_ms("total")
        if before is None or now is None:
            return False
        return last.slow > HOPELESS_SHARE * last.requests and now > 0.9 * before

    def _slide(self, seconds: Seconds, until: int) -> bool | None:
        middle = (self.begin + until) // 2
        if self._slides < MOST_SLIDES and self._objective.holds(seconds.between(middle, until)):
            self._slides += 1
            self.begin = middle
            return None
        return False
