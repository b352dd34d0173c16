"""Parses the Server-Timing header (W3C Server Timing): how long each part took.

Proxies between client and service may add entries, even under our names. Ours is the pair
``queue, app`` as the service writes it; of several such pairs the last, because a service that
passes on another one's response appends its own. Without a pair, a name that occurs twice is
unknown: its entries cannot be attributed.

The components of the service time are the entries right behind our ``app``, in the order and with
the three decimals that the service writes: ``cpu;dur=0.512, db;dur=3.210;desc="12"``.
"""

from __future__ import annotations

import re
from typing import Any

MAX_MS = 1e9
MAX_RESPONSE_MS = 1e12  # 32 years: anything longer is no usable time
TIMED = ("cpu", "db", "pool", "http", "cache")  # components of service time, in their order
CALLED = ("db", "http", "cache")  # those that come with a number of calls
MAX_DIGITS = 9  # of a number of calls
ROUNDING_MS = 0.0005
SLACK_MS, SLACK_RATIO = 0.05, 0.001  # by which the service's clocks of CPU and of time may differ
# May contain separators (RFC 9110, section 5.6.4). It matches anything after the first quote: if it
# could fail at the end, it would be retried from each quote of a hostile header.
_QUOTED = r'"(?:\\.|[^"\\])*+(?:"|\\?\Z)'
_ENTRY = re.compile(rf'(?:[^",]+|{_QUOTED})+', re.DOTALL)
_PARAMETER = re.compile(rf'(?:[^";]+|{_QUOTED})+', re.DOTALL)
_COMPONENT = re.compile(
    rf'({"|".join(TIMED)});dur=([0-9]{{1,9}}\.[0-9]{{3}})(?:;desc="([0-9]{{1,{MAX_DIGITS}}})")?'
)

Entry = tuple[str, float | None]  # name, duration in ms
# milliseconds of `TIMED` and calls of `CALLED`, 0 for what the request did without; no CPU time
# where that is not measured
Components = tuple[float | None, float, float, float, float, int, int, int]
Parts = tuple[float | None, float | None, Components | None]


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
        return None, None
    if type(raw) is str:
        if raw.startswith("queue;dur="):  # as swarmscope.server writes it
            queue, _, app = raw[10:].partition(", app;dur=")
            app, _, components = app.partition(", cpu;dur=")
            if "queue" in components:  # another service's pair
                return divided(raw)[:2]
            try:
                queue_ms, app_ms = float(queue), float(app)
            except ValueError:
                return divided(raw)[:2]
            if 0 <= queue_ms < MAX_MS and 0 <= app_ms < MAX_MS:
                return queue_ms, app_ms
        return divided(raw)[:2]
    return divided(raw)[:2]


def divided(raw: Any) -> Parts:
    """Return (queue, app, components of app) in milliseconds, as `parts` does.

    >>> divided('queue;dur=1.500, app;dur=9.000, cpu;dur=2.000, db;dur=6.500;desc="12"')
    (1.5, 9.0, (2.0, 6.5, 0.0, 0.0, 0.0, 12, 0, 0))
    """
    texts = _ENTRY.findall(raw if type(raw) is str else joined(raw))
    entries = [_entry(text) for text in texts]
    for number in range(len(entries) - 2, -1, -1):
        (first, queue), (second, app) = entries[number : number + 2]
        if (first, second) == ("queue", "app") and None not in (queue, app):
            return queue, app, _components_in(texts[number + 2 :])
    app, components = _only(entries, "app"), None
    if app is not None:
        components = _components_in(texts[entries.index(("app", app)) + 1 :])
    return _only(entries, "queue"), app, components


def remainder_ms(components: Components, app: float) -> float | None:
    """Return what *components* leave of *app* (ms); None if they do not fit into it.

    >>> remainder_ms((2.0, 6.5, 0.0, 0.0, 0.0, 12, 0, 0), 9.0)
    0.5
    """
    cpu, db, pool, http, cache, _, _, _ = components
    left = app - (cpu or 0.0) - db - pool - http - cache
    if left > ROUNDING_MS:
        return left
    return 0.0 if left >= -SLACK_MS - SLACK_RATIO * app else None


def total(every: list[Components | None]) -> Components | None:
    """Return the sums of the components of several requests; None if those of one are unknown."""
    known = [one for one in every if one is not None]
    if len(known) < len(every):
        return None
    cpu, *rest = zip(*known, strict=True)
    return (None if None in cpu else sum(cpu), *map(sum, rest))  # type: ignore[return-value]


def component_entries(components: Components | None) -> str:
    """Return what follows ``app`` in the header, as the service would write it."""
    if components is None:
        return ""
    calls = dict(zip(CALLED, components[len(TIMED) :], strict=True))
    text = "" if components[0] is None else f", cpu;dur={components[0]:.3f}"
    for name, ms in zip(TIMED[1:], components[1:], strict=False):
        if number := calls.get(name):
            text += f', {name};dur={ms:.3f};desc="{number}"'
        elif ms:
            text += f", {name};dur={ms:.3f}"
    return text


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


def _components_in(texts: list[str]) -> Components | None:
    """Return the components that *texts* begin with; None if they begin with anything else."""
    found: dict[str, re.Match[str]] = {}
    expected = iter(TIMED)
    for text in texts:
        entry = _COMPONENT.fullmatch(text.strip())
        if entry is None or entry[1] not in expected:  # which drops those before it: in their order
            break
        found[entry[1]] = entry
    if not found:
        return None
    cpu, db, pool, http, cache = (float(found[n][2]) if n in found else None for n in TIMED)
    calls = (int(found[n][3] or 0) if n in found else 0 for n in CALLED)
    return (cpu, db or 0.0, pool or 0.0, http or 0.0, cache or 0.0, *calls)  # type: ignore[return-value]


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
