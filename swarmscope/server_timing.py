"""Parses the Server-Timing header (W3C Server Timing): how long each part took.

Proxies between client and service may add entries, even under our names. Ours is the pair
``queue, app`` as the service writes it; of several such pairs the last, because a service that
passes on another one's response appends its own. Without a pair, a name that occurs twice is
unknown: its entries cannot be attributed.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

MAX_MS = 1e9
MAX_RESPONSE_MS = 1e12  # 32 years: anything longer is no usable time
_NOTHING = (None, None)
# May contain separators (RFC 9110, section 5.6.4). It matches anything after the first quote: if it
# could fail at the end, it would be retried from each quote of a hostile header.
_QUOTED = r'"(?:\\.|[^"\\])*+(?:"|\\?\Z)'
_ENTRY = re.compile(rf'(?:[^",]+|{_QUOTED})+', re.DOTALL)
_PARAMETER = re.compile(rf'(?:[^";]+|{_QUOTED})+', re.DOTALL)

Entry = tuple[str, float | None]  # name, duration in ms


def usable_ms(value: Any) -> float | None:
    """Return *value* as a response time in milliseconds; None if it cannot be one.

    That is, if it is not a number, negative, not finite, or at least `MAX_RESPONSE_MS`.
    """
    if isinstance(value, str | bytes):
        return None
    try:
        ms = float(value)
    except Exception:  # a custom client's object may raise anything
        return None
    return ms if 0 <= ms < MAX_RESPONSE_MS else None


def parts(raw: Any) -> tuple[float | None, float | None]:
    """Return (queue, app) in milliseconds, None for what is missing or malformed.

    *raw* is the header's value, or, as geventhttpclient keeps several lines, (name, value) of each.
    """
    if raw is None:
        return _NOTHING
    if type(raw) is str:
        if raw.startswith("queue;dur="):  # as swarmscope.server writes it
            queue, _, app = raw[10:].partition(", app;dur=")
            app, _, components = app.partition(", cpu;dur=")
            if "queue" in components:  # another service's pair
                return _durations(raw)
            try:
                queue_ms, app_ms = float(queue), float(app)
            except ValueError:
                return _durations(raw)
            if 0 <= queue_ms < MAX_MS and 0 <= app_ms < MAX_MS:
                return queue_ms, app_ms
        return _durations(raw)
    return _durations(joined(raw))


def plausible(
    queue: float | None, app: float | None, ms: float
) -> tuple[float | None, float | None, float | None]:
    """Return (queue, app, outside) in milliseconds, as far as they fit into *ms*.

    *ms* is the time from sending a request to the first byte of its response. All three are known
    if both given ones are and they fit together, which clocks that differ prevent. Otherwise *app*,
    measured by one clock, is kept if it fits by itself; *queue* only if there is no *app*.

    >>> plausible(2.0, 5.0, 10.0), plausible(None, 5.0, 10.0), plausible(8.0, 5.0, 10.0)
    ((2.0, 5.0, 3.0), (None, 5.0, None), (None, 5.0, None))
    """
    if app is None:
        return (queue if queue is not None and queue <= ms else None), None, None
    if queue is not None:
        outside = ms - queue - app
        if outside >= 0:
            return queue, app, outside
    return None, (app if app <= ms else None), None


def joined(lines: Any) -> str:
    """Return several lines of the header as one; '' if *lines* is not a list of lines."""
    if not isinstance(lines, list | tuple):
        return ""
    return ",".join(str(line[-1]) for line in lines if isinstance(line, list | tuple) and line)


def _durations(value: str) -> tuple[float | None, float | None]:
    entries = [_entry(text) for text in _ENTRY.findall(value)]
    for first, second in reversed(list(pairwise(entries))):
        if (first[0], second[0]) == ("queue", "app") and None not in (first[1], second[1]):
            return first[1], second[1]
    return _only(entries, "queue"), _only(entries, "app")


def _entry(text: str) -> Entry:
    name, *parameters = [piece.strip() for piece in _PARAMETER.findall(text)] or [""]
    for parameter in parameters:
        key, equals, duration = parameter.partition("=")
        if equals and key.strip().lower() == "dur":
            ms = _milliseconds(duration.strip().strip('"'))
            if ms is not None:
                return name, ms
    return name, None


def _only(entries: list[Entry], name: str) -> float | None:
    durations = [ms for other, ms in entries if other == name and ms is not None]
    return durations[0] if len(durations) == 1 else None


def _milliseconds(duration: str) -> float | None:
    try:
        ms = float(duration)
    except ValueError:
        return None
    return ms if 0 <= ms < MAX_MS else None
