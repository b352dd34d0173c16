"""The parameters of a search: defaults that stand elsewhere too, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

from swarmscope.client.capacity.settings import SearchSettings
from swarmscope.client.objective import Limits


def test_the_objective_is_the_databases(parser, runs_database):
    """One objective: the search's defaults are the figures that dashboards and summaries use."""
    options = parser.parse_args([])
    with psycopg.connect(runs_database) as connection:
        setting = dict(connection.execute("SELECT name, value FROM setting").fetchall())

    assert options.slo_p95 == setting["objective_ms"]
    assert options.slo_fail_ratio == setting["objective_fail_ratio"]
    assert setting["objective_quantile"] == 0.95


def test_limits_of_single_endpoints_are_given_as_to_checks(parser):
    """--slo-p95 "GET /tests=300", beside the limit of all together; percentages for failures."""
    options = ["--slo-p95", "400", "--slo-p95", "GET /tests=300", "--slo-fail-ratio", "GET /a=b=2%"]
    objective = SearchSettings.read(parser.parse_args(options)).objective

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
    objective = SearchSettings.read(parser.parse_args([])).objective

    assert (objective.limit_ms, objective.endpoints["GET /tests"].limit_ms) == (400, 300)


def test_a_limit_that_is_none_is_refused(parser, capsys):
    """With the option's name, before anything starts."""
    with pytest.raises(SystemExit):
        parser.parse_args(["--slo-p95", "quick"])

    assert "--slo-p95: 'quick' is not a number of ms" in capsys.readouterr().err


def test_a_search_states_its_time(parser):
    """--run-time, else enough for twice the levels that it may need."""
    given = parser.parse_args(["--capacity-start", "10", "--capacity-max", "1000"])

    assert 10 * 60 < SearchSettings.read(given).max_s < 30 * 60
    given.run_time = 90
    assert SearchSettings.read(given).max_s == 90


@pytest.mark.parametrize(
    "option",
    ["slo_p95", "capacity_start", "capacity_max", "capacity_precision", "capacity_window"],
)
def test_what_makes_no_sense_is_refused(parser, option):
    """Zero, and what is no number; with the option's name."""
    for wrong in (0, -1, float("nan")):
        options = SimpleNamespace(**{**vars(parser.parse_args([])), option: wrong})

        with pytest.raises(ValueError, match=f"--{option.replace('_', '-')}"):
            SearchSettings.read(options)


def test_a_search_begins_no_higher_than_it_may_go(parser):
    """--capacity-max below --capacity-start."""
    settings = SearchSettings.read(parser.parse_args(["--capacity-max", "4"]))

    assert (settings.bounds.start, settings.bounds.max) == (4, 4)
