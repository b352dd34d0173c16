"""Whether the users of a level are at work, and when to stop waiting for them."""

from __future__ import annotations

from dataclasses import dataclass

GONE_S = 10.0  # without a change: users that ended do not come back
SLOW_S = 60.0  # without a change: of users that are being created, or in their on_start


@dataclass(frozen=True)
class Present:
    """A swarm's users at a moment."""

    running: int  # as Locust counts them
    starting: int  # of them, those still in their on_start
    is_spawning: bool  # whether Locust is still creating or stopping users


class SpawnWatch:
    """Waits for *users* to be at work, as long as their number changes."""

    def __init__(self, users: int, tolerance: int, now: float) -> None:
        """Begin at *now* (s, any clock); *tolerance* is by how many users it may differ."""
        self.users = users
        self._tolerance = tolerance
        self._seen: tuple[int, int] | None = None
        self._changed = now

    def is_complete(self, present: Present) -> bool:
        """Return whether all are there and at work."""
        at_work = present.running - present.starting
        return (
            not present.is_spawning
            and abs(present.running - self.users) <= self._tolerance
            and at_work >= self.users - self._tolerance
        )

    def missing(self, present: Present, now: float) -> str | None:
        """Return why waiting is pointless, in words; None to go on."""
        if self.is_complete(present):
            self._seen, self._changed = None, now
            return None
        seen = (present.running, present.starting)
        if seen != self._seen:
            is_loss = self._seen is not None and self._is_short(present) and seen < self._seen
            self._seen = seen
            if not is_loss:
                self._changed = now
        waits_s = SLOW_S if present.is_spawning or present.starting else GONE_S
        return self._words(present) if now > self._changed + waits_s else None

    def _is_short(self, present: Present) -> bool:
        return present.running < self.users and not present.is_spawning

    def _words(self, present: Present) -> str:
        running, users = present.running, self.users
        if running > users + self._tolerance:
            return f"{running:,} users are still running instead of {users:,}: they do not stop"
        if running < users - self._tolerance:
            why = "the others ended by themselves, failed in on_start, or could not be created"
            if present.is_spawning:
                why = "the others took too long to be created"
            if not running:
                who = why.replace("the others", "they")
                return f"none of {users:,} users was running: {who}"
            return f"only {running:,} of {users:,} users ran: {why}"
        return f"{present.starting:,} of {users:,} users did not finish their on_start"
