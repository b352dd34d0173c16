"""The parameters of a search: defaults that stand elsewhere too, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from locust.argument_parser import LocustArgumentParser

from swarmscope.client import shapes
from swarmscope.client.capacity import parameters
from swarmscope.client.capacity.parameters import Settings
from swarmscope.client.capacity.trial import Limits
from swarmscope.client.shapes import shape


@pytest.fixture
def parser() -> LocustArgumentParser:
    parser = LocustArgumentParser()
    for module in (shape, shapes, parameters):
        module.add_arguments(parser)
    return parser


def test_the_objective_is_the_databases(parser, runs_database):
    """One objective: the search's defaults are the figures that dashboards and summaries use."""
    options = parser.parse_args([])
    with psycopg.connect(runs_database) as connection:
        setting = dict(connection.execute("SELECT name, value FROM setting").fetchall())

    assert options.slo_p95 == setting["objective_ms"]
    assert options.slo_fail_ratio == setting["objective_fail_ratio"]
    assert setting["objective_quantile"] == 0.95


def test_the_documented_options_are_those_there_are(parser, root: Path):
    """Each option of the tables in docs/load-models.md, with its default; none is left out."""
    text = (root / "docs/load-models.md").read_text()
    documented = dict(re.findall(r"^\| `(--[a-z0-9-]+)` \| (\S+) \|", text, re.MULTILINE))
    actual = {
        action.option_strings[0]: _documented(action)
        for action in parser._actions
        if action.option_strings[0] not in ("-h", "--shape")
    }

    assert documented == {option: str(value).removesuffix(".0") for option, value in actual.items()}


def _documented(action) -> object:
    """Return the default, or what the tables have instead where that is empty."""
    if action.default != "":
        return action.default
    is_of_shapes = action.option_strings[0].startswith("--shape-")
    return f"`{action.env_var}`" if is_of_shapes else "(none)"


def test_limits_of_single_endpoints_are_given_as_to_checks(parser):
    """--slo-p95 "GET /tests=300", beside the limit of all together; percentages for failures."""
    options = ["--slo-p95", "400", "--slo-p95", "GET /tests=300", "--slo-fail-ratio", "GET /a=b=2%"]
    objective = Settings.read(parser.parse_args(options)).objective

    assert (objective.limit_ms, objective.fail_ratio) == (400, 0.01)
    assert objective.endpoints == {
        "GET /tests": Limits(limit_ms=300),
        "GET /a=b": Limits(fail_ratio=0.02),
    }
    assert objective.words() == (
        "p95 within 400 ms and at most 1 % failures, of GET /tests p95 within 300 ms,"
        " of GET /a=b at most 2 % failures"
    )


def test_the_environment_has_the_same_limits(parser, monkeypatch):
    """As a list, like those of checks."""
    monkeypatch.setenv("LOCUST_SLO_P95", "[400, GET /tests=300]")
    objective = Settings.read(parser.parse_args([])).objective

    assert (objective.limit_ms, objective.endpoints["GET /tests"].limit_ms) == (400, 300)


def test_a_limit_that_is_none_is_refused(parser, capsys):
    """With the option's name, before anything starts."""
    with pytest.raises(SystemExit):
        parser.parse_args(["--slo-p95", "quick"])

    assert "--slo-p95: 'quick' is not a number of ms" in capsys.readouterr().err


def test_a_search_states_its_time(parser):
    """--run-time, else enough for twice the levels that it may need."""
    given = parser.parse_args(["--capacity-start", "10", "--capacity-most", "1000"])

    assert 10 * 60 < Settings.read(given).max_s < 30 * 60
    given.run_time = 90
    assert Settings.read(given).max_s == 90


def test_the_ui_shows_parameters_and_not_the_check(parser):
    """What may be changed for a run started there; the exit status is none of its business."""
    shown = parser.args_included_in_web_ui

    assert {"shape_users", "slo_p95", "capacity_precision"} <= shown.keys()
    assert shown.keys().isdisjoint({"shape", "check_capacity_users"})


@pytest.mark.parametrize(
    "option",
    ["slo_p95", "capacity_start", "capacity_most", "capacity_precision", "capacity_window"],
)
def test_what_makes_no_sense_is_refused(parser, option):
    """Zero, and what is no number; with the option's name."""
    for wrong in (0, -1, float("nan")):
        options = SimpleNamespace(**{**vars(parser.parse_args([])), option: wrong})

        with pytest.raises(ValueError, match=f"--{option.replace('_', '-')}"):
            Settings.read(options)


def test_a_search_begins_no_higher_than_it_may_go(parser):
    """--capacity-most below --capacity-start."""
    settings = Settings.read(parser.parse_args(["--capacity-most", "4"]))

    assert (settings.bounds.start, settings.bounds.most) == (4, 4)
