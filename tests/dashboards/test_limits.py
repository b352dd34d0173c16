"""The limits that a dashboard draws are those that something else judges by."""

import pytest

from benchmarks._dashboard_queries import DASHBOARDS, load, panels
from swarmscope.client.health import trust

(GENERATOR,) = [path for path in DASHBOARDS if path.stem == "generator"]


def _limits(steps):
    return [step["value"] for step in steps if step["value"] is not None]


@pytest.mark.parametrize(
    ("title", "limit"),
    [
        ("Do workers have CPU left?", trust.CPU_RATIO_LIMIT),
        ("Do workers react in time?", trust.LOOP_LAG_LIMIT_SECONDS),
        ("Are requests sent in bursts?", trust.DISPERSION_LIMIT),
    ],
)
def test_lines_are_drawn_where_the_verdict_on_a_run_changes(title, limit):
    (panel,) = [panel for panel in panels(load(GENERATOR)) if panel["title"] == title]

    assert _limits(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) == [limit]


def test_tiles_turn_red_where_the_verdict_on_a_run_changes():
    (panel,) = [
        panel
        for panel in panels(load(GENERATOR))
        if panel["title"] == "How busy was the generator?"
    ]
    limits = {
        override["matcher"]["options"]: _limits(setting["value"]["steps"])
        for override in panel["fieldConfig"]["overrides"]
        for setting in override["properties"]
        if setting["id"] == "thresholds"
    }

    assert limits == {
        "CPU": [trust.CPU_RATIO_LIMIT],
        "loop lag": [trust.LOOP_LAG_LIMIT_SECONDS],
        "dispersion": [trust.DISPERSION_LIMIT],
    }


def test_no_colour_judges_a_change_that_may_be_noise():
    """Between two runs, only `swarmscope compare` knows what is more than noise."""
    (runs,) = [path for path in DASHBOARDS if path.stem == "runs"]
    (panel,) = [p for p in panels(load(runs)) if p["title"] == "What changed, by endpoint?"]
    names = {
        setting["id"]
        for override in panel["fieldConfig"]["overrides"]
        if "Δ" in override["matcher"]["options"]
        for setting in override["properties"]
    }

    assert "thresholds" not in names


def test_the_slowest_endpoint_comes_first():
    """The panel that asks which endpoint is slow answers with its first row."""
    (requests,) = [path for path in DASHBOARDS if path.stem == "requests"]
    (panel,) = [p for p in panels(load(requests)) if p["title"] == "Which endpoint is slow?"]

    assert panel["options"]["sortBy"] == [{"displayName": "p95", "desc": True}]
