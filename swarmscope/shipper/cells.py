"""The latencies of one endpoint in one second, until they are added up to windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from swarmscope.runs.histogram import CALLS, COMPONENTS, Window, window_of, window_of_numbers
from swarmscope.server_timing import Components, remainder_ms

REQUEST_PARTS = ("response", "queue", "service", "receiving", "outside")
COMPONENT_PARTS = ("other", *COMPONENTS[:-1], *CALLS)


@dataclass(slots=True)
class Cell:
    """Latencies (ms) of one endpoint's requests that finished in one second.

    They are kept by request, which takes one call, and turned into columns when all are there.
    """

    requests: list[tuple[float | None, ...]] = field(default_factory=list)  # by `REQUEST_PARTS`
    components: list[tuple[float | None, ...]] = field(default_factory=list)  # `COMPONENT_PARTS`
    uncorrected: list[float] = field(default_factory=list)  # of an open workload
    failures: int = 0
    untimed: int = 0  # requests without a response time

    def take_components(self, components: Components, service: float | None) -> Components | None:
        """Add what *service* was made of; return it, None if it does not fit."""
        if service is None or (other := remainder_ms(components, service)) is None:
            return None
        self.components.append((other if components[0] is not None else 0.0, *components))
        return components

    def windows(self) -> Iterator[tuple[str, Window]]:
        """Yield each part that has values, with its window; of components, zeros do not count."""
        responses, *columns = zip(*self.requests, strict=True) if self.requests else ((),)
        yield "response", window_of(responses, self.failures, self.untimed)
        for part, values in zip(REQUEST_PARTS[1:], columns, strict=False):
            if window := _window_of_known(values):
                yield part, window
        if self.uncorrected:
            yield "uncorrected", window_of(self.uncorrected, 0)
        for part, values in zip(COMPONENT_PARTS, zip(*self.components, strict=True), strict=False):
            if part == "cpu":
                if window := _window_of_known(values):
                    yield part, window
            elif known := list(filter(None, values)):
                yield part, window_of_numbers(known) if part in CALLS else window_of(known, 0)


def _window_of_known(values: tuple[Any, ...]) -> Window | None:
    """Return the window of *values* that are not None; None if there are none."""
    try:
        return window_of(values, 0)
    except TypeError:  # of the sum: it takes no time of its own to find out
        known = [value for value in values if value is not None]
        return window_of(known, 0) if known else None
