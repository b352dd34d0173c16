"""What a response's ``Server-Timing`` says, by name."""

from __future__ import annotations

import re
from typing import Any

ENTRY = re.compile(r'(\w+);dur=([\d.]+)(?:;desc="(\d+)")?')


def timing(response: Any) -> dict[str, float]:
    """Return milliseconds."""
    entries = ENTRY.findall(response.headers["Server-Timing"])
    return {name: float(ms) for name, ms, _ in entries}


def calls(response: Any) -> dict[str, int]:
    """Return numbers of calls."""
    entries = ENTRY.findall(response.headers["Server-Timing"])
    return {name: int(number) for name, _, number in entries if number}
