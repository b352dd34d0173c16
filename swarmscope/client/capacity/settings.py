"""The settings of a capacity search, from command line, environment or UI."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from swarmscope.client.capacity.figures import Order
from swarmscope.client.capacity.search import Bounds
from swarmscope.client.capacity.trial import Objective
from swarmscope.client.objective import Limits
from swarmscope.runs import thresholds
from swarmscope.runs.selection import Selection

RAMP_S = 2.0
FASTEST_RAMP = 100.0  # users per second; above it Locust warns
REPORT_S = 5.0  # until all figures of one second have arrived, those of workers too
SPARE_SHARE = 0.5  # of the levels that a search needs when nothing is in doubt


class Limit(argparse._AppendAction):
    """Takes a limit, and any number of limits of single endpoints: ``GET /tests=300``."""

    metric: str

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        try:
            found = thresholds.parse(self.metric, values)
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        if found.endpoint:
            given = [found.metric, found.limit, found.endpoint]
            namespace.slo_endpoints = [*(namespace.slo_endpoints or ()), given]
        else:
            setattr(namespace, self.dest, found.limit)


class LatencyLimit(Limit):
    """A p95 in ms."""

    metric = "p95"


class FailureLimit(Limit):
    """A share of requests, 0..1."""

    metric = "fail-ratio"


@dataclass(frozen=True)
class SearchSettings:
    """The settings of one search, as they were when it started."""

    objective: Objective
    bounds: Bounds
    warm_up_s: int
    window_s: int
    selection: Selection = field(default_factory=Selection)
    run_time_s: float | None = None  # as --run-time has it

    @property
    def order(self) -> Order:
        """What processes that run users have to measure."""
        endpoints = {name: limits.limit_ms for name, limits in self.objective.endpoints.items()}
        return Order(self.objective.limit_ms, self.selection, endpoints)

    @property
    def level_s(self) -> float:
        """How long a level takes that is measured for one window."""
        return RAMP_S + self.warm_up_s + self.window_s + REPORT_S

    @property
    def max_s(self) -> float:
        """How long the search may take: ``--run-time``, else what such a search may need."""
        if self.run_time_s:
            return self.run_time_s
        levels = ceil(self.bounds.levels * (1 + SPARE_SHARE))
        # each with as much again for what has to drain or is measured for longer
        return levels * (self.level_s + self.window_s) + self.bounds.max / FASTEST_RAMP

    @classmethod
    def read(cls, options: Any) -> SearchSettings:
        """Take them from Locust's parsed options; raises ValueError for what makes no sense."""
        positive = {
            "--slo-p95": options.slo_p95,
            "--capacity-start": options.capacity_start,
            "--capacity-max": options.capacity_max,
            "--capacity-precision": options.capacity_precision,
            "--capacity-window": options.capacity_window,
        }
        for option, value in positive.items():
            if not value > 0:
                raise ValueError(f"{option} {value}: must be more than 0")
        return cls(
            Objective(
                options.slo_p95,
                options.slo_fail_ratio,
                _endpoints(getattr(options, "slo_endpoints", ())),
            ),
            Bounds(
                min(options.capacity_start, options.capacity_max),
                options.capacity_max,
                options.capacity_precision,
            ),
            options.capacity_warm_up,
            options.capacity_window,
            Selection.parse(options.slo_requests),
            getattr(options, "run_time", None) or None,
        )


def _endpoints(given: Any) -> dict[str, Limits]:
    """Return the limits of single endpoints, of [metric, limit, endpoint] each."""
    found: dict[str, Limits] = {}
    for metric, limit, endpoint in given:
        name = "limit_ms" if metric == LatencyLimit.metric else "fail_ratio"
        found[endpoint] = replace(found.get(endpoint, Limits()), **{name: limit})
    return found
