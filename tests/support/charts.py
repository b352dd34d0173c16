"""What a run page draws, read from uPlot: curves by label, and the stretch of time in sight."""

from __future__ import annotations

import msgspec
from playwright.sync_api import Page

from swarmscope.runs.document import Points

PLOT = "id => uPlot.sync('run').plots.find(u => u.root.closest(`#${id}`))"
_CURVES = f"""id => {{
    const u = ({PLOT})(id);
    return u.series.slice(1).map(({{label}}, i) => {{
        const own = [...u.data[0].keys()].filter(at => u.data[i + 1][at] !== undefined);
        return [label.textContent, own.map(at => u.data[0][at]), own.map(at => u.data[i + 1][at])];
    }});
}}"""
_SPANS = "uPlot.sync('run').plots.map(u => [u.scales.x.min, u.scales.x.max])"

Curve = tuple[list[float], list[float | None]]


def curves(page: Page, card: str) -> dict[str, Curve]:
    """Return the times and values of each curve of the chart in *card*; gaps are None."""
    return {label: (x, y) for label, x, y in page.evaluate(_CURVES, card)}


def span(page: Page) -> list[float]:
    """Return since when and until when the charts show the run, in s; all must agree."""
    first, *others = page.evaluate(_SPANS)
    assert all(other == first for other in others)
    return list(first)


def first_points(points: Points, count: int) -> Points:
    """Return the first *count* of *points*."""
    content = msgspec.to_builtins(points)
    for place in [content, *(part for part in content.values() if isinstance(part, dict))]:
        lists = {name: values for name, values in place.items() if isinstance(values, list)}
        place |= {name: values[:count] for name, values in lists.items()}
    return msgspec.convert(content, Points)
