"""The order of handlers at Locust's events: one that must see everything comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust.event import EventHook


def listen_first(event: EventHook, handler: Callable[..., Any]) -> None:
    """Add *handler* before all others of *event*.

    Locust calls handlers in order and lets some exceptions out of the event (``RescheduleTask``,
    ``StopUser`` and others of its own, ``SystemExit``): handlers after one that raises these are
    never called.
    """
    event._handlers.insert(0, handler)
