"""What a run has to say of itself, between those who say it and those who write it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from locust.env import Environment
from locust.event import EventHook


class Listener(Protocol):
    """Hears an announcement; *details* are a verdict's figures, ready for JSON."""

    def __call__(
        self, environment: Environment, kind: str, text: str, details: dict[str, Any] | None
    ) -> None: ...


# Handlers of samples, many at a time: rows as `Listener.on_request` makes them
Batches = list[Callable[[Sequence[tuple[Any, ...]]], None]]

announced = EventHook()


def announce(
    environment: Environment, kind: str, text: str, details: dict[str, Any] | None = None
) -> None:
    """Tell who listens that *text* is so from now on; *kind* is one of `events`' kinds."""
    announced.fire(environment=environment, kind=kind, text=text, details=details)
