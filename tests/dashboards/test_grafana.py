"""Every dashboard in a real Grafana, over a real swarm's data: its queries, and its panels."""

from datetime import datetime
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from support.browser import CHROMIUM, chromium_page
from support.grafana import HOME, running_grafana

from benchmarks._dashboard_queries import (
    DASHBOARDS,
    interpolated,
    load,
    panels,
    promql,
    queries,
)

pytestmark = [
    pytest.mark.grafana,
    pytest.mark.skipif(HOME is None, reason="GRAFANA_HOME is not set: no Grafana"),
]

BROWSER_PATIENCE_MS = 60_000  # Grafana's first page is megabytes of scripts


QUERIES = [query for path in DASHBOARDS for query in queries(path)]


@pytest.fixture(scope="module")
def grafana(recorded, tmp_path_factory):
    """Run a real Grafana on the data of the recorded swarm."""
    directory = tmp_path_factory.mktemp("grafana")
    with running_grafana(directory, recorded.stack.prometheus, recorded.database) as grafana:
        yield grafana


def test_grafana_reaches_both_ends(grafana):
    """Both data sources are healthy, and are those that the dashboards ask."""
    found = {source["uid"]: source for source in grafana.get("/api/datasources", admin=True)}

    assert set(found) == {"prometheus", "timescale"}
    for uid in found:
        health = grafana.get(f"/api/datasources/uid/{uid}/health", admin=True)
        assert health["status"] == "OK", health


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafana_shows_the_file_to_anybody(grafana, path):
    """A viewer without an account gets the provisioned dashboard, and may not change it."""
    found = grafana.get(f"/api/dashboards/uid/{load(path)['uid']}")

    assert found["meta"]["provisioned"]
    assert not found["meta"]["canSave"]
    titles = [panel["title"] for panel in found["dashboard"]["panels"]]
    assert titles == [panel["title"] for panel in load(path)["panels"]]


def _expression(query, view):
    asks = promql if query.place.startswith("variable") else interpolated
    return asks(query.text, view)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_grafana_answers_each_query(grafana, recorded, query):
    """Each query returns rows through Grafana's own interface, macros and all."""
    asked = {
        "refId": "A",
        "datasource": {"uid": query.datasource},
        "format": "table",
        "rawSql": interpolated(query.text, recorded.view),
        "expr": _expression(query, recorded.view),
        "range": True,
        "intervalMs": recorded.view.interval_s * 1000,
        "maxDataPoints": 1000,
        **{key: query.target[key] for key in ("format", "instant", "range") if key in query.target},
    }

    result = grafana.query([asked], *recorded.view.milliseconds())["A"]

    assert result["status"] == 200, result
    rows = [frame["data"]["values"] for frame in result["frames"]]
    found = any(values and values[0] for values in rows)
    assert found or recorded.may_lack(query), query.text


@pytest.fixture(scope="module")
def browser_page(grafana):
    """Open one page for all dashboards: Grafana's own scripts are loaded once."""
    if CHROMIUM is None:
        pytest.skip("chromium is missing")
    with chromium_page(height=3000) as page:
        page.set_default_timeout(BROWSER_PATIENCE_MS)
        yield page


def _open(page, grafana, recorded, path):
    """Open a dashboard on the recorded run, and wait until all of its panels are there."""
    start, end = recorded.view.milliseconds()
    variables = recorded.view.variables.items()
    chosen = {f"var-{name}": value for name, value in variables if value != recorded.everything}
    asked = urlencode({**chosen, "from": start, "to": end, "refresh": ""})
    page.goto(f"{grafana.url}/d/{load(path)['uid']}?{asked}", wait_until="commit")
    for panel in panels(load(path)):
        heading = page.get_by_role("heading", name=panel["title"], exact=True)
        heading.first.wait_for()  # the first of several services
    page.wait_for_load_state("networkidle")


@pytest.mark.browser
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_browser_draws_every_panel(browser_page, grafana, recorded, path):
    """In Chromium each panel is drawn; none reports an error or lacks its data.

    Every other dashboard is one click away, on the same run and time.
    """
    _open(browser_page, grafana, recorded, path)

    assert browser_page.get_by_test_id("data-testid Panel status error").count() == 0
    for panel in panels(load(path)):
        drawn = browser_page.get_by_test_id(f"data-testid Panel header {panel['title']}")
        drawn.first.wait_for()
        empty = panel["fieldConfig"]["defaults"]["noValue"]
        assert drawn.get_by_text(empty, exact=True).count() == 0, panel["title"]
    for other in set(DASHBOARDS) - {path}:
        button = browser_page.get_by_role("link", name=load(other)["title"], exact=True)
        asked = dict(parse_qsl(urlsplit(button.get_attribute("href")).query))
        assert asked["var-run"] == recorded.run
        assert _as_milliseconds(asked["from"], asked["to"]) == recorded.view.milliseconds()


def _as_milliseconds(*moments):
    return tuple(round(datetime.fromisoformat(at).timestamp() * 1000) for at in moments)


@pytest.mark.browser
def test_a_start_in_the_list_opens_its_run(browser_page, grafana, recorded):
    """In the list of runs each start leads to its swarm, with the time range that spans it."""
    (path,) = [path for path in DASHBOARDS if path.stem == "runs"]
    _open(browser_page, grafana, recorded, path)

    link = browser_page.locator(f"a[href*='/d/swarmscope-swarm?var-run={recorded.run}&']")

    opened = [dict(parse_qsl(urlsplit(a.get_attribute("href")).query)) for a in link.all()]
    start, end = recorded.view.milliseconds()
    spans = {"var-run": recorded.run, "from": str(start), "to": str(end)}
    assert opened == [spans] * 2  # the row's, and "Go to this run"


@pytest.mark.browser
@pytest.mark.parametrize("stem", ["requests", "service"])
def test_a_button_leads_to_the_flame_graph_of_the_run(browser_page, grafana, recorded, stem):
    """On the page in Locust's UI, wherever that is."""
    (path,) = [path for path in DASHBOARDS if path.stem == stem]
    _open(browser_page, grafana, recorded, path)

    link = browser_page.get_by_role("link", name="Which code", exact=True)

    place = f"#run={quote(recorded.run, safe='')}&at=code"
    page = recorded.stack.locust.replace("127.0.0.1", "localhost")
    assert link.get_attribute("href") in (
        f"{page}/both-ends{place}",
        f"{recorded.stack.locust}/both-ends{place}",
    )


@pytest.mark.browser
def test_an_endpoint_in_the_table_is_chosen_by_its_name(browser_page, grafana, recorded):
    """A click on an endpoint shows its requests only, of the same run and time."""
    (path,) = [path for path in DASHBOARDS if path.stem == "requests"]
    _open(browser_page, grafana, recorded, path)

    browser_page.get_by_role("link", name="GET /missing", exact=True).click()
    browser_page.wait_for_url("**var-endpoint=GET*")
    browser_page.wait_for_load_state("networkidle")

    asked = dict(parse_qsl(urlsplit(browser_page.url).query))
    assert (asked["var-run"], asked["var-endpoint"]) == (recorded.run, "GET /missing")
    assert _as_milliseconds(asked["from"], asked["to"]) == recorded.view.milliseconds()
    assert browser_page.get_by_test_id("data-testid Panel status error").count() == 0
