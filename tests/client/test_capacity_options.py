"""The parameters of a search: defaults that stand elsewhere too, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from locust.argument_parser import LocustArgumentParser

from swarmscope.client import capacity_options, shape, shapes
from swarmscope.client.capacity_options import Settings


@pytest.fixture
def parser() -> LocustArgumentParser:
    parser = LocustArgumentParser()
    for module in (shape, shapes, capacity_options):
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
        action.option_strings[0]: f"`{action.env_var}`" if action.default == "" else action.default
        for action in parser._actions
        if action.option_strings[0] not in ("-h", "--shape")
    }

    assert documented == {option: str(value).removesuffix(".0") for option, value in actual.items()}


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
