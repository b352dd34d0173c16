"""What `swarmscope dashboards` writes: values that an import relies on."""

import json
import re

import pytest
import yaml

from benchmarks._dashboard_queries import DASHBOARDS, load, panels
from swarmscope.stack.exports import RULES, DataSources, exported
from swarmscope.stack.scrape_interval import ScrapeInterval

AS_SHIPPED = ScrapeInterval(2)  # that of prometheus.yml
TYPES = {"${DS_PROMETHEUS}": "prometheus", "${DS_RUNS}": "grafana-postgresql-datasource"}


@pytest.fixture(scope="module")
def dashboards():
    """Return {uid: dashboard}, as written for an import."""
    texts = exported(ScrapeInterval(15), {})
    return {
        name.removesuffix(".json"): json.loads(text)
        for name, text in texts.items()
        if name != RULES
    }


def references(part):
    """Yield every data source that *part* names, as its type and uid."""
    if isinstance(part, dict):
        if "uid" in part and "type" in part:
            yield part["type"], part["uid"]
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from references(item)


def test_each_dashboard_is_written_under_its_uid(dashboards):
    assert dashboards.keys() == {f"swarmscope-{path.stem}" for path in DASHBOARDS}
    for uid, dashboard in dashboards.items():
        assert (dashboard["uid"], dashboard["id"]) == (uid, None)
        assert dashboard["editable"]


def test_every_data_source_is_one_that_the_import_asks_for(dashboards):
    """No uid of the stack's own Grafana is left; nothing is asked for in vain."""
    for dashboard in dashboards.values():
        found = set(references({**dashboard, "__inputs": []})) - {("datasource", "-- Mixed --")}
        asked = {f"${{{part['name']}}}": part["pluginId"] for part in dashboard["__inputs"]}

        assert {(kind, uid) for uid, kind in asked.items()} == found
        assert asked.items() <= TYPES.items()


def test_what_a_dashboard_requires_is_what_it_uses(dashboards):
    for dashboard in dashboards.values():
        required = {(part["type"], part["id"]) for part in dashboard["__requires"]}

        kinds = {("panel", panel["type"]) for panel in panels(dashboard)}
        plugins = {("datasource", part["pluginId"]) for part in dashboard["__inputs"]}
        assert required == kinds | plugins | {("grafana", "grafana")}


def test_with_uids_nothing_is_asked():
    """As file provisioning needs it."""
    texts = exported(AS_SHIPPED, {}, DataSources('my "metrics"', "loadtests"))
    swarm = json.loads(texts["swarmscope-swarm.json"])

    assert swarm.keys().isdisjoint({"__inputs", "__requires"})
    assert {uid for _, uid in references(swarm)} == {'my "metrics"', "loadtests", "-- Mixed --"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_stack_has_what_is_written_for_its_own_interval(path):
    """But for the label that tells our alerts from a company's."""
    written = json.loads(
        exported(AS_SHIPPED, {}, DataSources("prometheus", "timescale"))[
            f"swarmscope-{path.stem}.json"
        ].replace(r", source=\"swarmscope\"", "")
    )

    assert written == {"id": None, **load(path), "editable": True}


def test_the_stacks_rules_are_what_is_written_for_its_own_interval(root):
    """But for the label, for alerts about any target, and for how often groups are evaluated."""
    written = yaml.safe_load(exported(AS_SHIPPED, {})[RULES])["groups"]
    *own, targets = yaml.safe_load((root / "prometheus/rules.yml").read_text())["groups"]

    assert targets["name"] == "target alerts"
    assert [group.pop("interval") for group in written] == [
        group.pop("interval", "2s") for group in own
    ]
    alerts = [rule for group in written for rule in group["rules"] if "alert" in rule]
    assert [rule["labels"].pop("source") for rule in alerts] == ["swarmscope"] * len(alerts)
    assert written == own


def test_default_objective_is_that_of_the_settings():
    rules = exported(AS_SHIPPED, {"LOCUST_SLO_P95": "300"})[RULES]

    assert "min(locust_run_objective_seconds) or vector(0.3)" in rules


@pytest.mark.parametrize(
    ("text", "seconds", "window_s"),
    [("1s", 1, 10), ("2s", 2, 10), ("15s", 15, 60), ("30s", 30, 120), ("1m", 60, 240)],
)
def test_a_window_has_four_scrapes(text, seconds, window_s):
    interval = ScrapeInterval.parse(text)

    assert (interval.seconds, interval.window_s) == (seconds, window_s)
    rules = exported(interval, {})[RULES]
    assert f"rate(flask_http_request_duration_seconds_sum[{window_s}s])" in rules


def test_nothing_is_left_of_the_stacks_own_interval(dashboards):
    """A window or step that another panel needs must be one of those that are rewritten."""
    text = json.dumps(list(dashboards.values())) + exported(ScrapeInterval(15), {})[RULES]

    assert set(re.findall(r"\[(\d+[sm])\]", text)) == {"60s"}
    assert set(re.findall(r"rate(\d+[sm])", text)) == {"60s"}
    assert set(re.findall(r"offset (-?\d+[sm])", text)) == {"-30s"}
    assert set(re.findall(r"time\(\) - (\d+)", text)) == {"60"}
    assert set(re.findall(r'"interval": "(.+?)"', text)) == {"1s", "15s"}  # 1s: of the database


@pytest.mark.parametrize("text", ["", "15", "0s", "1h", "-1s", "1.5s", "301s", "٣s"])
def test_other_intervals_are_refused(text):
    with pytest.raises(ValueError, match="from 1s to 5m"):
        ScrapeInterval.parse(text)


def test_dashboards_ask_for_the_rates_that_are_recorded(dashboards):
    """At another interval rates have other names: the same in both."""
    text = json.dumps(list(dashboards.values()))
    recorded = {
        rule["record"]
        for group in yaml.safe_load(exported(ScrapeInterval(15), {})[RULES])["groups"]
        for rule in group["rules"]
        if "record" in rule
    }

    named = {name for name in recorded if name in text}
    assert len(named) >= 6
    assert "rate10s" not in text
    assert text.count("rate60s") == sum(text.count(name) for name in named if "rate60s" in name)
