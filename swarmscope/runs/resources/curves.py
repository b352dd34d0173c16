"""How much of each resource was in use over time, for charts."""

from __future__ import annotations

from collections.abc import Mapping

from swarmscope.runs.document import MAX_RESOURCE_SERIES, ResourceSeries
from swarmscope.runs.resources.model import Points, ResourceKey, Usage

DIGITS = 4


def over_time(resources: Mapping[ResourceKey, Usage]) -> list[ResourceSeries]:
    """Return the use of the `MAX_RESOURCE_SERIES` resources that were used most, those first."""
    used = {key: _utilisation(usage) for key, usage in resources.items()}
    peaks = {
        key: max((value or 0.0 for value in points), default=0.0) for key, points in used.items()
    }
    first = sorted((key for key, peak in peaks.items() if peak), key=lambda key: (-peaks[key], key))
    return [
        ResourceSeries(
            service=key.job or None,
            kind=key.kind,
            detail=key.detail,
            words=key.words,
            utilisation=used[key],
        )
        for key in first[:MAX_RESOURCE_SERIES]
    ]


def _utilisation(usage: Usage) -> Points:
    pairs = zip(usage.used, usage.places, strict=True)
    return [
        round(used / places, DIGITS) if used is not None and places else None
        for used, places in pairs
    ]
