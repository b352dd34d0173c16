"""Every query of every dashboard, asked of a real swarm's data: directly, and by a real Grafana."""

import math
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
import requests
from playwright.sync_api import sync_playwright
from support.dashboards import (
    DASHBOARDS,
    PROMETHEUS_STEP_S,
    View,
    interpolated,
    load,
    panels,
    promql,
    queries,
    sql,
)
from support.grafana import HOME, running_grafana
from support.swarm import Database, Stack, running_stack, runs_database
from support.waiting import free_port, poll_until

USERS = 8
QUERIES = [query for path in DASHBOARDS for query in queries(path)]
SQL = [query for query in QUERIES if query.datasource == "timescale"]
PROMQL = [query for query in QUERIES if query.datasource == "prometheus"]
EVERYTHING = ".*"  # what the option All stands for
CHOSEN = {  # variables that are no run
    "job": "api",
    "instance": EVERYTHING,
    "route": EVERYTHING,
    "endpoint": "All endpoints",
}
HOSTILE = (
    "'; DROP TABLE testrun; --",
    "\\'; SELECT pg_sleep(60); --",
    'a "quoted" \\ name',
    "2026-13-99T99:99:99Z",
    "",
)


class Recorded:
    """A finished swarm, and the view that its link opens."""

    def __init__(self, stack: Stack, database: Database) -> None:
        self.stack = stack
        self.database = database
        with psycopg.connect(database.reader) as connection:
            self.run, since, until = connection.execute(
                "SELECT run, since, until FROM run_choice JOIN LATERAL run_range(run) ON true"
                " WHERE run <> 'latest'"
            ).fetchone()
        self.view = View(int(since) / 1000, int(until) / 1000, self.variables(self.run), 1)

    @staticmethod
    def variables(run: str, **others: str) -> dict[str, str]:
        """Return what a viewer has chosen: a value for each variable of any dashboard."""
        return {"run": run, "baseline": run, **CHOSEN, **others}

    def ask(self, query, view) -> tuple[list[str], list[tuple]]:
        """Return the columns and rows that Grafana's role gets."""
        with psycopg.connect(self.database.reader) as connection:
            cursor = connection.execute(sql(query.text, view))
            return [column.name for column in cursor.description], cursor.fetchall()


@pytest.fixture(scope="module")
def recorded(cluster, tmp_path_factory):
    """Let a small swarm run until each end has told all that dashboards ask for."""
    directory = tmp_path_factory.mktemp("swarm")
    scenario = Path(__file__).parent / "_scenario.py"
    nobody = {"orders": free_port()}  # a target that is down: an alert that fires
    with (
        runs_database(cluster) as database,
        running_stack(directory, database.owner, scenario, more_targets=nobody) as stack,
    ):
        stack.start(USERS, USERS)
        poll_until(lambda: _everything_happened(stack), "a request of each kind", 60)
        poll_until(lambda: _health_was_reported(stack), "the generator's health", 60)
        poll_until(lambda: stack.query('ALERTS{alertstate="firing"}'), "an alert", 60)
        stack.stop()
        poll_until(stack.conserved, "all samples to be everywhere", 60)
        poll_until(stack.all_delivered, "the run to be complete", 60)
        with psycopg.connect(database.owner) as connection:
            connection.execute(  # nothing else would write such rows for this swarm
                "INSERT INTO events (time, run_id, kind, text)"
                " SELECT end_time, id, 'samples_dropped', '3 samples dropped' FROM testrun"
                " UNION ALL SELECT end_time, id, 'verdict', 'It can handle 8 users.' FROM testrun"
            )
        yield Recorded(stack, database)


def _everything_happened(stack):
    rows = {(row["method"], row["name"]): row for row in stack.requests()["stats"]}
    kinds = [("GET", "/tests"), ("POST", "/tests"), ("GET", "/missing")]
    recording = stack.query('job:flask_http_request_duration_seconds:p95_rate10s{job="api"} > 0')
    return recording and all(rows.get(kind, {}).get("num_requests", 0) > 20 for kind in kinds)


def _health_was_reported(stack):
    names = ("locust_worker_cpu_ratio", "locust_event_loop_lag_seconds", "locust_run_info")
    arrivals = "locust_arrival_dispersion_ratio"
    return all(stack.query(name) for name in (*names, arrivals))


@pytest.mark.parametrize("query", SQL, ids=str)
def test_sql_returns_rows(recorded, query):
    """Each query returns rows whose columns are what its panel draws, as Grafana's own role."""
    columns, rows = recorded.ask(query, recorded.view)

    assert rows, query.text
    for position, column in enumerate(columns):
        assert any(row[position] is not None for row in rows), f"{column} is always empty"
    if query.place.startswith("annotation"):
        assert columns[:2] == ["time", "text"]
    elif query.target.get("format") == "time_series":
        assert columns[0] == "time"
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        assert all(isinstance(row[0], datetime) for row in rows)


@pytest.mark.parametrize("query", PROMQL, ids=str)
def test_promql_returns_numbers(recorded, query):
    """Each expression has a number at some moment of the run."""
    answer = requests.post(
        f"{recorded.stack.prometheus}/api/v1/query_range",
        data={
            "query": promql(query.text, recorded.view),
            "start": recorded.view.start,
            "end": recorded.view.end,
            "step": PROMETHEUS_STEP_S,
        },
        timeout=10,
    ).json()

    assert answer["status"] == "success", answer
    values = [float(value) for one in answer["data"]["result"] for _, value in one["values"]]
    assert any(math.isfinite(value) for value in values), query.text


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("query", SQL, ids=str)
def test_no_variable_injects_sql(recorded, query, hostile):
    """Whatever stands in a link is the name of a run or of none; it never becomes a statement."""
    everywhere = dict.fromkeys(recorded.view.variables, hostile)
    view = View(recorded.view.start, recorded.view.end, everywhere, 1)

    recorded.ask(query, view)

    with psycopg.connect(recorded.database.reader) as connection:
        assert connection.execute("SELECT count(*) FROM testrun").fetchone() == (1,)


@pytest.mark.parametrize("query", SQL, ids=str)
def test_latest_means_the_latest_run(recorded, query):
    """`latest` answers what the run's own id answers."""
    latest = View(recorded.view.start, recorded.view.end, recorded.variables("latest"), 1)

    assert recorded.ask(query, latest) == recorded.ask(query, recorded.view)


@pytest.fixture
def what_if(recorded):
    """Return a connection to the recorded data on which a test may change it for itself."""
    with psycopg.connect(recorded.database.owner) as connection:
        yield connection
        connection.rollback()


def test_a_run_without_requests_has_no_curves(recorded, what_if):
    """Right after its start a run has a name and a range, and no figure that would be made up."""
    what_if.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env, status)"
        " VALUES (now(), 'empty.py', 1, '', 'running')"
    )
    view = View(recorded.view.start, recorded.view.end + 3600, recorded.variables("latest"), 1)

    limits = {value for (value,) in what_if.execute("SELECT value FROM setting")}
    for query in SQL:
        rows = what_if.execute(sql(query.text, view)).fetchall()
        if query.place.startswith("panel") and "${run:" in query.text:
            figures = {figure for row in rows for figure in row if isinstance(figure, float)}
            assert figures <= {0.0, *limits}, str(query)

    for query in _variables("run_range"):
        (link,) = what_if.execute(sql(query.text, view)).fetchone()
        assert link.endswith("&to=now")


def test_a_run_that_is_on_is_followed(recorded, what_if):
    """The link to a run that has not ended opens a range that moves with the time."""
    what_if.execute("UPDATE testrun SET end_time = NULL, status = 'running'")

    for query in _variables("run_range", "latest_range"):
        (link,) = what_if.execute(sql(query.text, recorded.view)).fetchone()
        assert re.fullmatch(r"from=\d{13}&to=now", link)


def test_a_runs_label_says_what_it_was(recorded):
    """The list offers the latest run first, then each run by plan, users and start."""
    _, rows = recorded.ask(_variables("run")[0], recorded.view)

    assert rows[0] == ("Latest run", "latest")
    label, run = rows[1]
    assert run == recorded.run
    start = run[:19].replace("T", " ")
    assert label == f"_scenario.py · {USERS} users · {start} UTC"


def _variables(*names):
    found = [query for query in SQL if query.place in {f"variable {name}" for name in names}]
    assert found
    return found


def test_curves_add_up_to_what_was_sent(recorded):
    """The requests/s that are drawn, second by second, sum up to the requests of the swarm."""
    (query,) = [query for query in SQL if '"requests/s", failures_per_s' in query.text]
    wide = View(recorded.view.start - 3600, recorded.view.end + 3600, recorded.view.variables, 1)

    _, rows = recorded.ask(query, wide)

    per_second = [row[1] for row in rows]
    assert sum(per_second) == pytest.approx(recorded.stack.sent())


def _ask_prometheus(recorded, title, moment):
    """Return, of the API dashboard's panel *title*, {refId: {labels' values: number}}."""
    answers = {}
    for query in PROMQL:
        if query.dashboard == "api" and query.place.startswith(f"panel {title}, "):
            answer = requests.post(
                f"{recorded.stack.prometheus}/api/v1/query",
                data={"query": promql(query.text, recorded.view), "time": moment},
                timeout=10,
            ).json()
            answers[query.target["refId"]] = {
                tuple(one["metric"].values()): float(one["value"][1])
                for one in answer["data"]["result"]
            }
    return answers


def test_a_service_is_judged_without_any_run(recorded):
    """From Prometheus alone: nothing failed, handlers took milliseconds, so the objective holds."""
    end = recorded.view.end

    requests_ = _ask_prometheus(recorded, "Requests", end)
    objective = _ask_prometheus(recorded, "Objective, at the server", end)
    workers = _ask_prometheus(recorded, "Workers", end)

    assert requests_["A"][()] > 0
    assert requests_["B"] == {(): 0.0}
    assert objective["B"] == {(): 1.0}
    assert workers == {"A": {(): 2.0}, "B": {(): 0.0}}


def test_each_route_has_a_row(recorded):
    """Every route that was asked for is there; what no rule matched was refused, and only that."""
    table = _ask_prometheus(recorded, "Which route takes the workers' time?", recorded.view.end)

    assert set(table["B"]) == {("/tests",), ("unmatched",)}
    assert table["C"][("unmatched",)] == pytest.approx(1)
    assert table["C"][("/tests",)] == 0
    assert all(table["E"][route] <= table["F"][route] <= table["G"][route] for route in table["B"])


def test_workers_account_for_all_samples(recorded):
    """The generator's table has each worker once, and their samples are what was sent."""
    (query,) = [query for query in SQL if "FROM workers(" in query.text]

    columns, rows = recorded.ask(query, recorded.view)

    found = [dict(zip(columns, row, strict=True)) for row in rows]
    assert len(found) == 2
    assert sum(row["samples"] for row in found) == recorded.stack.sent()
    assert sum(row["share"] for row in found) == pytest.approx(1)
    assert all(abs(row["clock"]) < 100 for row in found)  # one machine, one clock
    assert {row["state"] for row in found} == {"delivered"}


def test_the_link_to_a_run_spans_it(recorded):
    """Variables give the range of a link: from before the start until after the stop."""
    with psycopg.connect(recorded.database.reader) as connection:
        started, ended = connection.execute("SELECT id, end_time FROM testrun").fetchone()

    assert datetime.fromtimestamp(recorded.view.start, UTC) < started
    assert datetime.fromtimestamp(recorded.view.end, UTC) > ended


@pytest.fixture(scope="module")
def grafana(recorded, tmp_path_factory):
    """Run a real Grafana on the data of the recorded swarm."""
    if HOME is None:
        pytest.skip("GRAFANA_HOME is not set: no Grafana")
    directory = tmp_path_factory.mktemp("grafana")
    with running_grafana(directory, recorded.stack.prometheus, recorded.database) as grafana:
        yield grafana


@pytest.mark.grafana
def test_grafana_reaches_both_ends(grafana):
    """Both data sources are healthy, and are those that the dashboards ask."""
    found = {source["uid"]: source for source in grafana.get("/api/datasources", admin=True)}

    assert set(found) == {"prometheus", "timescale"}
    for uid in found:
        health = grafana.get(f"/api/datasources/uid/{uid}/health", admin=True)
        assert health["status"] == "OK", health


@pytest.mark.grafana
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafana_shows_the_file_to_anybody(grafana, path):
    """A viewer without an account gets the provisioned dashboard, and may not change it."""
    found = grafana.get(f"/api/dashboards/uid/{path.stem}")

    assert found["meta"]["provisioned"]
    assert not found["meta"]["canSave"]
    titles = [panel["title"] for panel in found["dashboard"]["panels"]]
    assert titles == [panel["title"] for panel in load(path)["panels"]]


def _expression(query, view):
    asks = promql if query.place.startswith("variable") else interpolated
    return asks(query.text, view)


@pytest.mark.grafana
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
    assert any(values and values[0] for values in rows), query.text


@pytest.mark.grafana
@pytest.mark.browser
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_browser_draws_every_panel(grafana, recorded, path):
    """In Chromium each panel is drawn; none reports an error or lacks its data."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is missing")
    start, end = recorded.view.milliseconds()
    variables = recorded.view.variables.items()
    chosen = {f"var-{name}": value for name, value in variables if value != EVERYTHING}
    asked = urlencode({**chosen, "from": start, "to": end, "refresh": ""})
    link = f"{grafana.url}/d/{path.stem}?{asked}"
    expected = list(panels(load(path)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 3000})
        page.goto(link)
        for panel in expected:
            page.get_by_role("heading", name=panel["title"], exact=True).wait_for()
        page.wait_for_load_state("networkidle")

        assert page.get_by_test_id("data-testid Panel status error").count() == 0
        for panel in expected:
            empty = panel["fieldConfig"]["defaults"]["noValue"]
            assert page.get_by_text(empty, exact=True).count() == 0, panel["title"]
        browser.close()
