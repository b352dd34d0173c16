"""Reads Server-Timing as it was received (W3C Server Timing): which part took how long."""

from __future__ import annotations

from typing import Any

LONGEST_MS = 1e9
_NOTHING = (None, None)


def parts(raw: Any) -> tuple[float | None, float | None]:
    """Return (queue, app) in milliseconds, None for what is missing or malformed.

    *raw* is the header's value, or, as geventhttpclient keeps several lines, (name, value) of each.
    """
    if raw is None:
        return _NOTHING
    if type(raw) is str:
        if raw.startswith("queue;dur="):  # as swarmscope.server writes it
            queue, _, app = raw[10:].partition(", app;dur=")
            try:
                queue_ms, app_ms = float(queue), float(app)
            except ValueError:
                return _durations(raw)
            if 0 <= queue_ms < LONGEST_MS and 0 <= app_ms < LONGEST_MS:
                return queue_ms, app_ms
        return _durations(raw)
    return _durations(_joined(raw))


def _joined(lines: Any) -> str:
    if not isinstance(lines, list | tuple):
        return ""
    return ",".join(str(line[-1]) for line in lines if isinstance(line, list | tuple) and line)


def _durations(value: str) -> tuple[float | None, float | None]:
    durations: dict[str, float] = {}
    for metric in value.split(","):
        name, *parameters = (piece.strip() for piece in metric.split(";"))
        for parameter in parameters:
            key, equals, duration = parameter.partition("=")
            if equals and key.strip().lower() == "dur":
                ms = _milliseconds(duration.strip().strip('"'))
                if ms is not None:
                    durations.setdefault(name, ms)
    return durations.get("queue"), durations.get("app")


def _milliseconds(duration: str) -> float | None:
    try:
        ms = float(duration)
    except ValueError:
        return None
    return ms if 0 <= ms < LONGEST_MS else None
