"""The parameters of a search for the capacity, from command line, environment and UI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from locust.argument_parser import LocustArgumentParser

from swarmscope.client.capacity import Bounds
from swarmscope.client.objective import Objective
from swarmscope.runs.thresholds import CHECK_FAILED


def add_arguments(parser: LocustArgumentParser) -> None:
    """Add the objective and the search's parameters; the UI shows all but the check."""
    group = parser.add_argument_group("swarmscope - Capacity")
    shown: list[tuple[str, type, float, str]] = [
        ("--slo-p95", float, 450.0, "Objective: 95 percent of responses take at most so many ms"),
        ("--slo-fail-ratio", float, 0.01, "Objective: share of requests that may fail"),
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
            Objective(options.slo_p95, options.slo_fail_ratio),
            Bounds(
                min(options.capacity_start, options.capacity_most),
                options.capacity_most,
                options.capacity_precision,
            ),
            options.capacity_settle,
            options.capacity_window,
        )
