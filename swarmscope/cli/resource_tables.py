"""Resources of a run as a table: what is full, and what each could take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from swarmscope.cli.tables import NARROW, bare_table, harmless
from swarmscope.formatting import NOTHING, count, digits, percent
from swarmscope.runs.document import ResourceFigures, RouteHold

FULL = 0.9  # in use: as in the cause
MAX_ROUTES = 3  # of a resource
GIB = 2**30


def parts(found: Sequence[ResourceFigures], width: int, every: bool) -> Iterator[Table | str]:
    """Yield the table of resources, the lowest ceiling first, and how to read it."""
    yield ""
    if not found:
        yield "No resource was measured: docs/resources.md says what it takes."
        return
    yield _table(found, width, every)
    yield "\nHeld per request in ms; ceiling in requests/s, with its 95 % interval."
    if any(one.routes for one in found):
        yield "Below a resource: how long each route held it, and its share of that time."
    if any(one.forecast for one in found):
        yield "* forecast: no resource was 70 % in use."


def hint(found: Sequence[ResourceFigures]) -> str:
    """Return in a line which of the resources breaks first; nothing where no ceiling is known."""
    first = min(found, key=lambda one: one.ceiling_per_s or float("inf"), default=None)
    if first is None or first.ceiling_per_s is None:
        return ""
    forecast = ", a forecast" if first.forecast else ""
    where = f"{first.words} ({percent(first.utilisation)} in use)"
    return (
        f"First to be full: {where}, at about {digits(first.ceiling_per_s)} requests/s{forecast}."
        " More: --resources"
    )


def _table(found: Sequence[ResourceFigures], width: int, every: bool) -> Table:
    """Return a row per resource, followed by a row per route that held it."""
    wide = width >= NARROW
    several = len({one.service for one in found if one.service}) > 1
    numbers = ("places", "held", "in use", *(("waiting",) if wide else ()), "ceiling", "interval")
    table = bare_table(("resource",), numbers)
    for one in found:
        table.add_row(
            harmless(f"{one.service}: {one.words}" if several and one.service else one.words),
            _places(one),
            digits(one.demand_ms),
            _use(one.utilisation),
            *((digits(one.waiting),) if wide else ()),
            digits(one.ceiling_per_s) + ("*" if one.forecast and one.ceiling_per_s else ""),
            _interval(one),
        )
        for route in one.routes if every else one.routes[:MAX_ROUTES]:
            table.add_row(*_route(route), *[""] * (len(numbers) - 3))
    return table


def _places(one: ResourceFigures) -> str:
    if one.kind == "memory" and one.places is not None:
        return f"{digits(one.places / GIB)} GiB"
    if one.places is not None and one.places == int(one.places):  # a quota need not be whole
        return count(int(one.places))
    return digits(one.places)


def _route(route: RouteHold) -> tuple[Text, str, str, str]:
    name = harmless(f"  {route.route}")
    name.stylize("dim")
    return name, "", digits(route.held_ms), percent(route.share)


def _use(ratio: float | None) -> Text:
    return Text(percent(ratio), style="bold red" if (ratio or 0.0) >= FULL else "")


def _interval(one: ResourceFigures) -> str:
    if one.ceiling_low_per_s is None:
        return NOTHING
    return f"{digits(one.ceiling_low_per_s)}–{digits(one.ceiling_high_per_s)}"
