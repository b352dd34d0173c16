"""What happens during a run, between the features that announce it and those that record it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from locust.env import Environment
from locust.event import EventHook


class AnnouncementHandler(Protocol):
    """Handles an announcement; *details* are figures, ready for JSON."""

    def __call__(
        self, environment: Environment, kind: str, text: str, details: dict[str, Any] | None
    ) -> None: ...


# Handlers of samples, many at a time: rows as `Listener.on_request` makes them
Batches = list[Callable[[Sequence[tuple[Any, ...]]], None]]

announced = EventHook()


def announce(
    environment: Environment, kind: str, text: str, details: dict[str, Any] | None = None
) -> None:
    """Announce *text*, true from now on; *kind* is one of those of the table `events`."""
    announced.fire(environment=environment, kind=kind, text=text, details=details)
