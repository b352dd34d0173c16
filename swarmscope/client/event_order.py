"""Whose turn it is at one of Locust's events: what must see everything comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust.event import EventHook


def listen_first(event: EventHook, handler: Callable[..., Any]) -> None:
    """Add *handler* before all that *event* has.

    Locust calls handlers in order, and lets some exceptions out of the event (``RescheduleTask``,
    ``StopUser`` and others of its own, ``SystemExit``): what comes after a handler that raises one
    is never called.
    """
    event._handlers.insert(0, handler)
