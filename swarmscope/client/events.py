"""The order of handlers at Locust's events, and swarmscope's own event: what happens in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from locust.env import Environment
from locust.event import EventHook

# Handlers of samples, many at a time: rows as `Listener.on_request` makes them
Batches = list[Callable[[Sequence[tuple[Any, ...]]], None]]

announced = EventHook()


def announce(
    environment: Environment, kind: str, text: str, details: dict[str, Any] | None = None
) -> None:
    """Announce *text*, true from now on, to the features that record it.

    *kind* is one of those of the table `events`; *details* are figures, ready for JSON.
    """
    announced.fire(environment=environment, kind=kind, text=text, details=details)


def listen_first(event: EventHook, handler: Callable[..., Any]) -> None:
    """Add *handler* before all others of *event*.

    Locust calls handlers in order and lets some exceptions out of the event (``RescheduleTask``,
    ``StopUser`` and others of its own, ``SystemExit``): handlers after one that raises these are
    never called.
    """
    event._handlers.insert(0, handler)
