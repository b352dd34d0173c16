"""Reads the resources that a run's settings name; what one of them lacks is logged and left out."""

from __future__ import annotations

import logging
from functools import lru_cache

from swarmscope.runs.prometheus import Axis, Prometheus, Unavailable
from swarmscope.runs.resources import named
from swarmscope.runs.resources.model import Points, ResourceKey, Usage
from swarmscope.runs.resources.named import NamedResource

logger = logging.getLogger(__name__)

RATE_INTERVAL = "$__rate_interval"  # as in Grafana
SEVERAL = (
    "has {} series: one is needed, so aggregate them (sum, max), or choose an instance with match"
)


class _Unusable(Exception):
    """What Prometheus answers is no resource; the text is a line."""


def read(prometheus: Prometheus, axis: Axis, window_s: int, text: str) -> dict[ResourceKey, Usage]:
    """Return what Prometheus knows of the resources that *text*, JSON, names."""
    try:
        resources = named.parse(text)
    except ValueError as error:  # of another version
        _warn(f"The resources that the run names cannot be read: {error}")
        return {}
    found = {}
    for resource in resources:
        try:
            usage = _Reader(prometheus, axis, window_s).usage(resource)
        except (Unavailable, _Unusable) as error:
            _warn(f"The resource {resource.name!r} is left out: {error}")
        else:
            found[ResourceKey("", "setting", resource.name)] = usage
    return found


@lru_cache(maxsize=100)
def _warn(text: str) -> None:
    """Log a line once: a running run is read again and again."""
    logger.warning("%s", text)


class _Reader:
    def __init__(self, prometheus: Prometheus, axis: Axis, window_s: int) -> None:
        self._prometheus, self._axis, self._window_s = prometheus, axis, window_s

    def usage(self, resource: NamedResource) -> Usage:
        """Return a resource's usage; raises `_Unusable` or `prometheus.Unavailable`."""
        used = self._points("use", resource.use)
        if all(value is None for value in used):
            raise _Unusable(f"Prometheus knows nothing of its use: {resource.use}")
        places = self._points("limit", resource.limit)
        return Usage(places, used, self._points("waiting", resource.waiting))

    def _points(self, key: str, text: str) -> Points:
        if not text:
            return [None] * self._axis.points
        shift_s = self._window_s / 2 if RATE_INTERVAL in text else 0.0
        query = text.replace(RATE_INTERVAL, f"{self._window_s}s")
        try:
            lines = self._prometheus.over(self._axis, query, shift_s)
        except Unavailable as error:
            raise Unavailable(f"{key}: {error}") from error
        if len(lines) > 1:
            raise _Unusable(f"{key} {SEVERAL.format(len(lines))}: {text}")
        return self._axis.values(lines[0]) if lines else [None] * self._axis.points
