"""The dashboards' and Grafana's files: reviewable, and true to each other."""

import itertools
import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from benchmarks._dashboard_queries import DASHBOARDS, load, panels, queries
from swarmscope.client.recording.run_links import grafana_link

FLAME_GRAPH = "${page:raw}#run=${run:percentencode}&at=code"
BY_STEM = {"ids": lambda path: path.stem}
DRAWN = {"stat", "timeseries", "heatmap", "gauge", "bargauge", "table", "barchart", "trend"}
COLOURS = {  # one meaning each, on every dashboard
    "response": "#5794F2",
    "service": "#56A64B",
    "queue": "#FF9830",
    "CPU": "#56A64B",
    "database": "#5794F2",
    "connection pool": "#F2495C",
    "HTTP calls": "#F2CC0C",
    "cache": "#E27AB3",
    "other": "#9AA1AC",
    "outside": "#B877D9",
    "receiving": "#6ED0E0",
    "failures": "#F2495C",
}


@pytest.fixture(scope="module")
def datasources(root):
    """Return {uid: the provisioned data source}."""
    file = root / "grafana/provisioning/datasources/swarmscope.yaml"
    return {source["uid"]: source for source in yaml.safe_load(file.read_text())["datasources"]}


def test_there_are_dashboards():
    assert "swarm" in {path.stem for path in DASHBOARDS}


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_dashboard_is_reviewable(path):
    """A dashboard's uid ends in its file's name; it has none of what an export leaves behind."""
    text = path.read_text()
    dashboard = json.loads(text)

    assert dashboard["uid"] == f"swarmscope-{path.stem}"
    assert dashboard["schemaVersion"] == 42
    assert dashboard["editable"] is False
    assert dashboard["description"]
    assert dashboard.keys().isdisjoint({"id", "version", "__inputs", "__requires", "iteration"})
    assert "${DS_" not in text
    assert "pluginVersion" not in text


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_panels_say_what_they_show(path):
    """Every panel has a title, a unit, one line that says how to read it, and words for no data."""
    found = list(panels(load(path)))

    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["type"] in DRAWN, panel["title"]
        assert panel["title"]
        assert panel["description"]
        assert "\n" not in panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_panels_tile_the_grid(path):
    """No panel overlaps another or leaves the 24 columns."""
    places = [panel["gridPos"] for panel in load(path)["panels"]]

    for place in places:
        assert place["x"] + place["w"] <= 24
    for a, b in itertools.combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (a, b)


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_queries_ask_provisioned_data_sources(path, datasources):
    """Each query names a data source by its uid and in its language."""
    for query in queries(path):
        assert query.datasource in datasources, str(query)
        kind = datasources[query.datasource]["type"]
        if query.place.startswith("panel"):
            language = "rawSql" if kind == "grafana-postgresql-datasource" else "expr"
            assert language in query.target, str(query)


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_variables_reach_sql_quoted(path):
    """A variable inside SQL is always a quoted literal: what a link carries stays a value.

    Variables are written in braces everywhere, and are none but the dashboard's own. Names of
    endpoints come percent-encoded, because `sqlstring` alters some. In PromQL a variable is inside
    a raw string, in which nothing but a backtick has a meaning; `services_of` returns none.
    """
    own = {variable["name"] for variable in load(path)["templating"]["list"]}
    for query in queries(path):
        assert not re.search(r"\$(?!__)\w", query.text), str(query)
        used = re.findall(r"\$\{(\w+)(:\w+)?\}", query.text)
        assert {name for name, _ in used} <= own, str(query)
        if query.datasource == "timescale":
            quoted = re.sub(r"'\$\{\w+:percentencode\}'|\$\{\w+:sqlstring\}", "", query.text)
            assert "${" not in quoted, str(query)
            assert "${endpoint:sqlstring}" not in query.text, str(query)
        else:
            text = query.text.replace("=~`${run_services:raw}`", "")
            quoted = re.sub(r"=`\$\{\w+:raw\}`|=~`\$\{\w+:regex\}`|\"\$\{run\}\"", "", text)
            assert "${" not in quoted, str(query)


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_colours_mean_the_same_everywhere(path):
    """Response time, its parts and failures have one colour each."""
    for panel in panels(load(path)):
        for override in panel["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            for setting in override["properties"]:
                if setting["id"] == "color" and name in COLOURS:
                    colour = setting["value"].get("fixedColor", COLOURS[name])
                    assert colour == COLOURS[name], (panel["title"], name)


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_links_open_dashboards_that_exist(path):
    stems = {path.stem for path in DASHBOARDS}

    for url in set(_urls(load(path))) - {FLAME_GRAPH}:
        match = re.match(r"/d/swarmscope-([a-z]+)\?", url)
        assert match, url
        assert match[1] in stems, url


@pytest.mark.parametrize("stem", ["requests", "service"])
def test_a_link_leads_to_the_flame_graph_of_the_run(root, stem):
    """Where Locust serves the page, which its metric says; the section and the parts exist."""
    (path,) = [path for path in DASHBOARDS if path.stem == stem]
    dashboard = load(path)
    (link,) = [link for link in dashboard["links"] if link.get("url") == FLAME_GRAPH]
    (variable,) = [v for v in dashboard["templating"]["list"] if v["name"] == "page"]

    assert link["targetBlank"]
    assert variable["query"] == "label_values(locust_page_info, address)"
    assets = root / "swarmscope/runs/page/assets"
    assert 'id="code"' in assets.joinpath("code.html").read_text()
    assert all(
        f'wished("{name}")' in assets.joinpath("live.js").read_text() for name in ("run", "at")
    )


def _urls(part):
    """Yield the address of each link, of the dashboard, its panels and their fields."""
    if isinstance(part, list):
        for item in part:
            yield from _urls(item)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "url":
                yield value
            else:
                yield from _urls(value)


@pytest.mark.parametrize("path", DASHBOARDS, **BY_STEM)
def test_every_dashboard_leads_to_all_others(path):
    """A button for each dashboard with our tag keeps the time and the variables, so the run."""
    dashboard = load(path)
    (link,) = [link for link in dashboard["links"] if link["type"] == "dashboards"]

    assert dashboard["tags"] == link["tags"] == ["swarmscope"]
    assert link["keepTime"]
    assert link["includeVars"]
    assert not link["asDropdown"]


def test_data_sources_have_the_uids_that_are_contracts(datasources):
    assert set(datasources) == {"prometheus", "timescale"}
    assert not any(source["editable"] for source in datasources.values())


def test_postgres_is_named_where_grafana_looks(datasources):
    """Grafana from 12.2 on reads the database's name from jsonData only."""
    source = datasources["timescale"]

    assert source["type"] == "grafana-postgresql-datasource"
    assert source["jsonData"]["database"] == "$PGDATABASE"
    assert "database" not in source
    assert source["user"] == "swarmscope_reader"


def test_scrape_interval_stands_in_both_files(root, datasources):
    """Grafana derives rate windows from the interval that Prometheus scrapes at."""
    configuration = yaml.safe_load((root / "prometheus/prometheus.yml").read_text())

    interval = configuration["global"]["scrape_interval"]

    assert datasources["prometheus"]["jsonData"]["timeInterval"] == interval


def test_no_secret_stands_in_the_provisioning(datasources):
    """The reader's password comes from the environment."""
    secrets = datasources["timescale"]["secureJsonData"]

    assert secrets == {"password": "$GF_READER_PASSWORD"}


def test_dashboards_come_from_files_only(root):
    file = root / "grafana/provisioning/dashboards/swarmscope.yaml"
    (provider,) = yaml.safe_load(file.read_text())["providers"]

    assert provider["allowUiUpdates"] is False
    assert (provider["folder"], provider["folderUid"]) == ("swarmscope", "swarmscope")
    assert provider["options"]["path"].endswith("/dashboards")


def test_the_link_that_locust_prints_opens_the_dashboard():
    """Path and parameter of a run's link are a dashboard's uid and its variable."""
    link = urlsplit(
        grafana_link(
            "http://localhost:3000/d/swarmscope-swarm",
            "2026-03-01T12:00:00.250000Z",
            ended=1772366410.0,
        )
    )
    (path,) = [path for path in DASHBOARDS if link.path == f"/d/{load(path)['uid']}"]

    asked = dict(parse_qsl(link.query))

    assert asked.keys() == {"var-run", "from", "to"}
    assert "run" in {variable["name"] for variable in load(path)["templating"]["list"]}
