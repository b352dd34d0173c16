"""Limits on the texts of a sample.

The runs database stores short names and URLs. The journal may hold longer texts, but a block of
samples that is too large is shortened before it is written; what is stored stays the same.
"""

from __future__ import annotations

from typing import Any

from swarmscope.redaction import scrub_url, stored_name
from swarmscope.server_timing import joined

MAX_URL = 255  # characters
MAX_TEXT = 4_000  # characters of an exception, a context or a Server-Timing
MAX_SAMPLE_BYTES = 4 << 10  # average per sample of a block that is not shortened


def stored_url(url: str) -> str:
    """Return the beginning of *url* without secrets."""
    return scrub_url(url)[:MAX_URL]


def bounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the sample *row* with all its fields shortened."""
    start, ms, name, method, url, length, greenlet, error, context, timing, *ids_and_times = row
    return (
        shortened(start), shortened(ms), stored_name(str(name)), stored_name(str(method)),
        None if url is None else stored_url(str(url)), shortened(length), shortened(greenlet),
        shortened(error), shortened(context), _short_timing(timing),
        *map(shortened, ids_and_times),
    )  # fmt: skip


def shortened(value: Any) -> Any:
    """Return *value*, or the beginning of its text if that is too long."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str | bytes) else str(value)
    return text[:MAX_TEXT] if len(text) > MAX_TEXT else value


def _short_timing(raw: Any) -> Any:
    """Return Server-Timing up to its last whole metric within `MAX_TEXT`."""
    text = raw if isinstance(raw, str) else joined(raw)
    return raw if len(text) <= MAX_TEXT else text[:MAX_TEXT].rpartition(",")[0]
