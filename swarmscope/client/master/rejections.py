"""Counts the messages that a master rejected, and logs some of them."""

from __future__ import annotations

import logging
import time
from collections import Counter

logger = logging.getLogger(__name__)

QUIET_S = 60.0

rejected: Counter[str] = Counter()  # by kind of message; one process is one master

_told: dict[str, float] = {}


def reject(kind: str, worker: str, reason: str) -> None:
    """Count a malformed message of *kind*; log at most one per minute and kind."""
    rejected[kind] += 1
    now = time.monotonic()
    if now >= _told.get(kind, 0.0) + QUIET_S or kind not in _told:
        _told[kind] = now
        logger.warning(
            "Dropped a malformed message (%s) from worker %.100r: %.200s; %d so far",
            kind,
            worker,
            reason,
            rejected[kind],
        )
