"""The parameters of a search for the capacity, from command line, environment and UI."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from locust.argument_parser import LocustArgumentParser

from swarmscope.client.capacity.figures import Order
from swarmscope.client.capacity.search import Bounds
from swarmscope.client.capacity.trial import Limits, Objective
from swarmscope.runs import selection, thresholds
from swarmscope.runs.selection import Selection
from swarmscope.runs.thresholds import CHECK_FAILED

RAMP_S = 2.0
FASTEST_RAMP = 100.0  # users a second; above it Locust warns
REPORT_S = 5.0  # until the figures of a second are there, from workers too
SPARE_SHARE = 0.5  # of the levels that a search needs when nothing is in doubt


class _Limit(argparse._AppendAction):
    """Takes a limit, and any number of limits of single endpoints: "GET /tests=300"."""

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


class _Latency(_Limit):
    metric = "p95"


class _Failures(_Limit):
    metric = "fail-ratio"


def add_arguments(parser: LocustArgumentParser) -> None:
    """Add the objective and the search's parameters; the UI shows all but the check."""
    group = parser.add_argument_group("swarmscope - Capacity")
    limits: list[tuple[str, type[_Limit], float, str]] = [
        ("--slo-p95", _Latency, 450.0, "SLO: 95 percent of responses take at most this many ms"),
        ("--slo-fail-ratio", _Failures, 0.01, "SLO: share of requests that may fail"),
    ]
    for option, taken_by, default, words in limits:
        variable = "LOCUST_" + option[2:].replace("-", "_").upper()
        action = group.add_argument(
            option,
            action=taken_by,
            default=default,
            env_var=variable,
            help=f'{words}; repeat it with "METHOD NAME=LIMIT" for single endpoints',
        )
        action.include_in_web_ui = True
    parser.set_defaults(slo_endpoints=[])
    action = group.add_argument(
        selection.OPTION,
        default="",
        env_var="LOCUST_SLO_REQUESTS",
        metavar="PATTERNS",
        help="Requests that the SLO and all checks are about, by type or name (GET, POST /tests*);"
        " empty: those of HTTP, or all where there are none",
    )
    action.include_in_web_ui = True
    shown: list[tuple[str, type, float, str]] = [
        ("--capacity-start", int, 10, "Users at which the search for the capacity begins"),
        ("--capacity-most", int, 10_000, "Users that the search never exceeds"),
        ("--capacity-precision", float, 0.05, "How close to come, as a share of the answer"),
        ("--capacity-settle", int, 5, "Seconds at each level that are not measured"),
        ("--capacity-window", int, 20, "Seconds at each level that are measured"),
    ]
    for option, kind, default, words in shown:
        variable = "LOCUST_" + option[2:].replace("-", "_").upper()
        action = group.add_argument(
            option, type=kind, default=default, env_var=variable, help=words
        )
        action.include_in_web_ui = True
    group.add_argument(
        "--check-capacity-users",
        type=int,
        default=0,
        env_var="LOCUST_CHECK_CAPACITY_USERS",
        help=f"Exit with status {CHECK_FAILED} when the capacity found is below so many users",
    )


@dataclass(frozen=True)
class Settings:
    """The parameters of one search, as they were when it began."""

    objective: Objective
    bounds: Bounds
    settle_s: int
    window_s: int
    selection: Selection = field(default_factory=Selection)
    run_time_s: float | None = None  # as --run-time has it

    @property
    def order(self) -> Order:
        """What the processes that run users are to measure."""
        endpoints = {name: limits.limit_ms for name, limits in self.objective.endpoints.items()}
        return Order(self.objective.limit_ms, self.selection, endpoints)

    @property
    def level_s(self) -> float:
        """How long a level takes that is measured for one window."""
        return RAMP_S + self.settle_s + self.window_s + REPORT_S

    @property
    def max_s(self) -> float:
        """How long the search may take: ``--run-time``, else what such a search may need."""
        if self.run_time_s:
            return self.run_time_s
        levels = ceil(self.bounds.levels * (1 + SPARE_SHARE))
        # each with as much again for what has to drain or is measured for longer
        return levels * (self.level_s + self.window_s) + self.bounds.most / FASTEST_RAMP

    @classmethod
    def read(cls, options: Any) -> Settings:
        """Take them from Locust's parsed options; raises ValueError for what makes no sense."""
        positive = {
            "--slo-p95": options.slo_p95,
            "--capacity-start": options.capacity_start,
            "--capacity-most": options.capacity_most,
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
                min(options.capacity_start, options.capacity_most),
                options.capacity_most,
                options.capacity_precision,
            ),
            options.capacity_settle,
            options.capacity_window,
            Selection.parse(options.slo_requests),
            getattr(options, "run_time", None) or None,
        )


def _endpoints(given: Any) -> dict[str, Limits]:
    """Return the limits of single endpoints, of [metric, limit, endpoint] each."""
    found: dict[str, Limits] = {}
    for metric, limit, endpoint in given:
        name = "limit_ms" if metric == _Latency.metric else "fail_ratio"
        found[endpoint] = replace(found.get(endpoint, Limits()), **{name: limit})
    return found
