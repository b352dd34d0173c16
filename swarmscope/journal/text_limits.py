"""How long the texts of a sample may be, and how longer ones are shortened.

The runs database stores short names and URLs. What the journal holds may be longer, but not without
bounds: a block of samples that takes too much is shortened before it is written, such that the same
is stored.
"""

from __future__ import annotations

from typing import Any

from swarmscope.redaction import scrub_url, stored_name
from swarmscope.server_timing import joined

LONGEST_URL = 255  # characters
LONGEST_TEXT = 4_000  # of an exception, a context or a Server-Timing
MOST_SAMPLE_BYTES = 4 << 10  # that samples of a block may take on average, as they are


def stored_url(url: str) -> str:
    """Return the beginning of *url* without secrets."""
    return scrub_url(url)[:LONGEST_URL]


def bounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *row*, a sample of which the journal can hold every field, with short fields."""
    start, ms, name, method, url, length, greenlet, error, context, timing, *ids_and_times = row
    return (
        shortened(start), shortened(ms), stored_name(str(name)), stored_name(str(method)),
        None if url is None else stored_url(str(url)), shortened(length), shortened(greenlet),
        shortened(error), shortened(context), _short_timing(timing),
        *map(shortened, ids_and_times),
    )  # fmt: skip


def shortened(value: Any) -> Any:
    """Return *value*, or the beginning of its text where it is neither short nor a number."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str | bytes) else str(value)
    return text[:LONGEST_TEXT] if len(text) > LONGEST_TEXT else value


def _short_timing(raw: Any) -> Any:
    """Return Server-Timing up to the last metric that stands whole in what is read of it."""
    text = raw if isinstance(raw, str) else joined(raw)
    return raw if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rpartition(",")[0]
