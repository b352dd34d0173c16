"""The table of our options on Locust's command line: names, defaults, variables, help.

What an option means is decided where it is used; `docs/options.md` shows this table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from locust.argument_parser import LocustArgumentParser

from swarmscope.client import report
from swarmscope.client.capacity.settings import FailureLimit, LatencyLimit
from swarmscope.client.checks import CAPACITY, STORED
from swarmscope.client.frozen_options import CONNECTION
from swarmscope.runs import selection
from swarmscope.runs.resources import named
from swarmscope.runs.thresholds import CANNOT_TELL, CHECK_FAILED, METRICS

GROUP_PREFIX = "swarmscope - "  # of our groups' titles


@dataclass(frozen=True)
class Option:
    """One option; only those `in_ui` have a field in Locust's web UI."""

    group: str
    name: str  # with its dashes
    default: Any
    help: str
    in_ui: bool = False
    own_variable: str = ""  # else LOCUST_NAME
    metavar: str | None = None
    convert: Callable[[str], Any] | None = None  # else to the default's type
    action: str | type[argparse.Action] = "store"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return self.own_variable or "LOCUST_" + self.name[2:].upper().replace("-", "_")

    def add(self, group: Any) -> None:
        """Add the option to a group of an argument parser."""
        more: dict[str, Any] = {}
        if self.action == "store":
            more["type"] = self.convert or (str if self.default is None else type(self.default))
        if self.metavar:
            more["metavar"] = self.metavar
        action = group.add_argument(
            self.name,
            action=self.action,
            default=self.default,
            env_var=self.variable,
            help=self.help.replace("%", "%%"),  # argparse formats it
            **more,
        )
        action.include_in_web_ui = self.in_ui


_ENDPOINTS = 'repeat it with "METHOD NAME=LIMIT" for single endpoints'
_FROM_SHAPE = "the shape's own unless set"


def _resources(text: str) -> str:
    try:
        return named.checked(text)
    except ValueError as error:  # argparse would not show its text
        raise argparse.ArgumentTypeError(str(error)) from error


OPTIONS = (
    Option(
        "Journal",
        "--journal-dir",
        "",
        "Where samples wait for the runs database; $SWARMSCOPE_HOME/journals unless set.",
    ),
    Option(
        "Journal",
        "--journal-limit",
        2 << 30,
        "Max bytes of one process's journal; beyond it samples are dropped and counted.",
    ),
    Option(
        "Journal",
        "--keep-journals",
        False,
        "Keep samples on this disk until 'swarmscope ship' delivers them.",
        action="store_true",
    ),
    Option(
        "Journal",
        "--drain-time",
        30.0,
        "Max seconds to wait at the end until all samples are in the runs database.",
    ),
    Option(
        "Web UI",
        "--web-allowed-hosts",
        "",
        "Names of the web UI besides this machine's, as behind a proxy:"
        " NAME, NAME:PORT or *.DOMAIN, separated by commas.",
    ),
    Option(
        "Server metrics",
        "--prometheus-url",
        "",
        "Prometheus whose server metrics are stored with each run;"
        " that of 'swarmscope up' unless set.",
        own_variable="PROMETHEUS_URL",
    ),
    Option(
        "Server metrics",
        "--services",
        "",
        "Names of the services under test, as Prometheus's label job has them, separated by commas;"
        " those that the host leads to, and those that they call, are found without.",
    ),
    Option(
        "Server metrics",
        "--resources",
        "",
        "More resources to store with each run, by PromQL: JSON with use, limit and waiting, or"
        " preset, by name; as [resources.NAME] in swarmscope.toml.",
        metavar="JSON",
        convert=_resources,
    ),
    Option(
        "Generator health",
        "--metrics-port",
        0,
        "Serve Locust's own metrics for Prometheus on this port of the master; 0 serves none.",
    ),
    Option(
        "Generator health",
        "--metrics-host",
        "127.0.0.1",
        "Address on which --metrics-port listens.",
    ),
    Option(
        "Report",
        "--swarm-report",
        None,
        "Write the run's page to FILE, a single HTML file, when the run ends; needs --timescale.",
        metavar="FILE",
        convert=report.writable,
    ),
    *(
        Option(
            "Checks",
            f"--check-{metric}",
            [],
            f"Fail if {METRICS[metric].condition}:"
            f" exit status {CHECK_FAILED}, or {CANNOT_TELL} if it cannot be judged."
            f" Repeatable{METRICS[metric].also}.",
            metavar=METRICS[metric].metavar,
            action="append",
        )
        for metric in STORED
    ),
    Option(
        "Checks",
        "--check-whole",
        False,
        "Judge the whole run, including its ramp-up.",
        action="store_true",
    ),
    Option(
        "Checks",
        "--check-junit",
        "",
        "Write the outcomes of all checks to FILE as JUnit XML.",
        metavar="FILE",
    ),
    Option(
        "Checks",
        "--check-abort",
        False,
        "End a run that cannot meet a check any more, or whose target is dead.",
        action="store_true",
    ),
    Option(
        "Checks",
        f"--check-{CAPACITY}",
        0,
        f"Fail if the capacity is below this many users: exit status {CHECK_FAILED}.",
    ),
    Option(
        "Shapes",
        "--shape",
        "",
        "Name of the shape that drives the swarm; in the UI, the class picker offers all.",
    ),
    Option(
        "Shapes",
        "--shape-users",
        "",
        f"Users at the top of the shape; {_FROM_SHAPE}.",
        in_ui=True,
    ),
    Option(
        "Shapes",
        "--shape-ramp",
        "",
        f"Duration of each of the shape's ramps (20, 30s, 5m); {_FROM_SHAPE}.",
        in_ui=True,
    ),
    Option(
        "Shapes",
        "--shape-hold",
        "",
        f"How long the shape holds each stage (20, 30s, 1h30m); {_FROM_SHAPE}.",
        in_ui=True,
    ),
    Option(
        "Shapes",
        "--shape-steps",
        "",
        f"Number of steps of the shape Steps; {_FROM_SHAPE}.",
        in_ui=True,
    ),
    Option(
        "Objective",
        "--slo-p95",
        450.0,
        f"SLO: p95 of the response time in ms; {_ENDPOINTS}.",
        in_ui=True,
        action=LatencyLimit,
    ),
    Option(
        "Objective",
        "--slo-fail-ratio",
        0.01,
        f"SLO: share of requests that may fail; {_ENDPOINTS}.",
        in_ui=True,
        action=FailureLimit,
    ),
    Option(
        "Objective",
        selection.OPTION,
        "",
        "Requests that the SLO and all checks judge, by type or name (GET, POST /tests*);"
        " those of HTTP unless set, or all if none is.",
        in_ui=True,
        metavar="PATTERNS",
    ),
    Option(
        "Capacity",
        "--capacity-start",
        10,
        "Users of the first level that the capacity search tries.",
        in_ui=True,
    ),
    Option(
        "Capacity",
        "--capacity-max",
        10_000,
        "Max users that the capacity search tries.",
        in_ui=True,
    ),
    Option(
        "Capacity",
        "--capacity-precision",
        0.05,
        "Max gap between the level that held and the one that broke, as a share of the answer.",
        in_ui=True,
    ),
    Option(
        "Capacity",
        "--capacity-warm-up",
        5,
        "Seconds at the start of each level that are not measured.",
        in_ui=True,
    ),
    Option(
        "Capacity",
        "--capacity-window",
        20,
        "Seconds of each level that are measured.",
        in_ui=True,
    ),
)

_STOCK_NOT_IN_UI = {  # locust-plugins' options, by their attributes
    "timescale",
    "grafana_url",
    "test_env",
    "test_version",
    "description",
    "override_plan_name",
    "iterations",
    "console_stats_interval",
    "ips",
    "check_rps",
    "check_fail_ratio",
    "check_avg_response_time",
    *CONNECTION,
}


def add_arguments(parser: LocustArgumentParser) -> None:
    """Add our options, and take locust-plugins' out of the UI, which would print the password."""
    groups: dict[str, Any] = {}
    for option in OPTIONS:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(GROUP_PREFIX + option.group)
        option.add(groups[option.group])
    parser.set_defaults(grafana_url="")  # no link, rather than one that leads nowhere
    parser.set_defaults(slo_endpoints=[])
    for action in parser._actions:
        if action.dest in _STOCK_NOT_IN_UI:
            action.include_in_web_ui = False
