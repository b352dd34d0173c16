"""Every query of every dashboard, asked directly of a real swarm's data."""

import math
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from benchmarks._dashboard_queries import (
    DASHBOARDS,
    PROMETHEUS_STEP_S,
    View,
    promql,
    queries,
    sql,
)
from swarmscope.runs import captures, server_series, service_times

QUERIES = [query for path in DASHBOARDS for query in queries(path)]
SQL = [query for query in QUERIES if query.datasource == "timescale"]
PROMQL = [query for query in QUERIES if query.datasource == "prometheus"]
NOTHING = "nothing in the time shown"  # what a heatmap without a request says
HOSTILE = (
    "'; DROP TABLE testrun; --",
    "\\'; SELECT pg_sleep(60); --",
    'a "quoted" \\ name',
    "2026-13-99T99:99:99Z",
    "",
)


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
    is_sure = not recorded.may_lack(query)
    assert not is_sure or any(math.isfinite(value) for value in values), query.text


@pytest.mark.parametrize("query", SQL, ids=str)
def test_no_variable_injects_sql(recorded, query):
    """Whatever stands in a link is the name of a run or of none; it never becomes a statement."""
    expected, _ = recorded.ask(query, recorded.view)
    for hostile in HOSTILE:
        everywhere = dict.fromkeys(recorded.view.variables, hostile)
        view = View(recorded.view.start, recorded.view.end, everywhere, 1)

        columns, rows = recorded.ask(query, view)

        assert columns == expected
        if query.place.startswith("panel") and "run_of(" in query.text:
            texts = {value for row in rows for value in row if isinstance(value, str)}
            assert texts <= {NOTHING}
    assert recorded.reader.execute("SELECT count(*) FROM testrun").fetchone() == (1,)


ROUTES = ('/a"b', "/line\nbreak", "/back\\slash", "/<int:id>.(x)|[y]*", "/it's")


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_may_have_any_name(recorded, route):
    """Each expression is one that Prometheus understands, and whose matcher is that route's."""
    for query in PROMQL:
        chosen = {**recorded.view.variables, "route": route}
        text = promql(query.text, View(recorded.view.start, recorded.view.end, chosen, 1))
        asked = {"query": text, "time": recorded.view.end}
        answer = requests.post(
            f"{recorded.stack.prometheus}/api/v1/query", data=asked, timeout=10
        ).json()

        assert answer["status"] == "success", (str(query), answer)
        for matcher in re.findall(r"url_rule=~`([^`]*)`", text):
            assert re.fullmatch(matcher, route)


@pytest.mark.parametrize("query", SQL, ids=str)
def test_latest_means_the_latest_run(recorded, query):
    """`latest` answers what the run's own id answers."""
    latest = View(recorded.view.start, recorded.view.end, recorded.variables("latest"), 1)

    assert recorded.ask(query, latest) == recorded.ask(query, recorded.view)


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


def test_locust_prints_links_to_its_run(recorded):
    """At its start a link that follows the run, at its end one that spans it."""
    start, end = recorded.view.milliseconds()

    links = re.findall(r"(Follow|Report of) this run: (\S+/d/swarmscope-swarm\S+)", recorded.log)

    (_, begun), (_, over) = links
    assert [kind for kind, _ in links] == ["Follow", "Report of"]
    for link, until in ((begun, "now"), (over, None)):
        asked = dict(parse_qsl(urlsplit(link).query))
        assert urlsplit(link).path == "/d/swarmscope-swarm"
        assert asked["var-run"] == recorded.run
        assert start <= int(asked["from"]) < start + 5_000
        assert asked["to"] == until or end - 5_000 < int(asked["to"]) <= end


def test_a_runs_label_says_what_it_was(recorded):
    """The list offers the latest run first, then each run by plan, users and start."""
    _, rows = recorded.ask(_variables("run")[0], recorded.view)

    assert rows[0] == ("Latest run", "latest")
    label, run = rows[1]
    assert run == recorded.run
    start = run[:19].replace("T", " ")
    assert label == f"_scenario.py · {recorded.users} users · {start} UTC"


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
    assert sum(per_second) == pytest.approx(recorded.stack.done())


BY_SERVICE = [query for query in PROMQL if "${service:regex}" in query.text]


@pytest.mark.parametrize("query", BY_SERVICE, ids=str)
def test_services_are_told_apart(recorded, query):
    """Each service has a curve of its own, which its legend names; a chosen one is alone."""
    assert "{{job}}" in query.target.get("legendFormat", "{{job}}")  # a table has columns
    callers = {"shop"} if "flask_http_outgoing" in query.text else {"shop", "pricing"}
    if " or 0 * " in query.text:
        callers = {"shop", "pricing"}
    for chosen, shown in (("shop", {"shop"}), (".*", callers)):
        variables = recorded.variables(recorded.run, service=chosen)
        view = View(recorded.view.start, recorded.view.end, variables, 1)

        found = recorded.instant(query, view)
        assert {job for labels in found for job in labels if ":" not in job} == shown


def test_the_services_offered_are_those_of_the_run(recorded, what_if):
    """Until it is known which they were, all that Prometheus scrapes; Locust is none of them."""
    (offer,) = [query for query in PROMQL if query.place == "variable service"]
    (known,) = [query for query in SQL if query.place == "variable run_services"]

    def offered():
        (services,) = what_if.execute(sql(known.text, recorded.view)).fetchone()
        variables = recorded.variables(recorded.run, run_services=services)
        view = View(recorded.view.start, recorded.view.end, variables, 1)
        return recorded.instant(offer, view).keys()

    assert offered() == {("pricing",), ("shop",)}
    what_if.execute(
        "INSERT INTO server_series (run_id, job, name, points) SELECT id, job, name, points"
        " FROM testrun, (VALUES ('pricing', 'requests_per_s', ARRAY[0, NULL]),"
        " ('pricing', 'workers', ARRAY[2]), ('shop', 'requests_per_s', ARRAY[NULL, 3]))"
        " AS stored (job, name, points)"
    )
    assert offered() == {("shop",)}


def test_a_slow_service_is_named_from_both_its_ends(recorded, what_if):
    """By who called it and by its own metrics, with the run, so that Prometheus may forget both."""
    run, ended = what_if.execute("SELECT id, end_time FROM testrun").fetchone()
    targets = captures.targets(what_if, run)
    assert targets.hosts == [recorded.stack.api]
    capture = server_series.read(recorded.stack.prometheus, run, ended, targets)
    assert captures.store(what_if, run, capture)

    services = service_times.figures(captures.stored(what_if, run), run, ended)
    assert [(s.name, s.role) for s in services] == [("shop", "target"), ("pricing", "called")]
    shop, pricing = services
    (call,) = shop.calls
    assert call.service == "pricing"
    assert pricing.service_mean_ms >= 50
    assert call.mean_ms >= 0.9 * pricing.service_mean_ms  # rates at the edges differ a little
    (finding,) = service_times.sentences(services)
    assert re.match(r"shop waited [\d.,]+ ms per call for pricing \(127.0.0.1:\d+\)", finding)
    (offer,) = [query for query in SQL if query.place == "variable run_services"]
    assert what_if.execute(sql(offer.text, recorded.view)).fetchone() == ("pricing|shop",)


def test_a_service_is_judged_without_any_run(recorded):
    """From Prometheus alone: nothing failed, handlers took milliseconds, so the objective holds."""
    requests_ = recorded.panel_of_service("Requests")
    objective = recorded.panel_of_service("Objective, by service time")
    workers = recorded.panel_of_service("Workers")

    assert requests_["A"][()] > 0
    assert requests_["B"] == {(): 0.0}
    assert objective["B"] == {(): 1.0}
    assert workers == {"A": {(): 2.0}, "B": {(): 0.0}}


def test_each_route_has_a_row(recorded):
    """Every route that was asked for is there; what no rule matched was refused, and only that."""
    table = recorded.panel_of_service("Which route takes the workers' time?")

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
    assert sum(row["samples"] for row in found) == recorded.stack.done()
    assert sum(row["share"] for row in found) == pytest.approx(1)
    assert all(abs(row["clock"]) < 100 for row in found)  # one machine, one clock
    assert {row["state"] for row in found} == {"delivered"}


def _drill_down(ask, view):
    """Return the answers of the dashboard `requests`, each a list of rows by column."""
    answers = {}
    for query in SQL:
        if query.dashboard == "requests" and query.place.startswith("panel"):
            columns, rows = ask(query, view)
            title = query.place.removeprefix("panel ").removesuffix(", A")
            answers[title] = [dict(zip(columns, row, strict=True)) for row in rows]
    return answers


def test_the_drill_down_accounts_for_every_request(recorded):
    """A range wider than the run: endpoints, bands, workers and errors add up to what was sent."""
    start, end = recorded.view.start - 86_400, recorded.view.end + 86_400
    wide = View(start, end, recorded.view.variables, 60)
    stats = {row["name"]: row for row in recorded.stack.state()["stats"]}

    found = _drill_down(recorded.ask, wide)

    everything, *endpoints = found["Which endpoint is slow?"]
    assert everything["endpoint"] == "All endpoints"
    assert everything["requests"] == sum(row["requests"] for row in endpoints)
    sent = recorded.stack.done()
    assert everything["requests"] == sent
    assert sum(cell["requests"] for cell in found["How were latencies spread?"]) == sent
    assert sum(row["requests"] for row in found["Do all workers measure the same?"]) == sent
    failed = sum(row["failures"] for row in found["What failed?"])
    assert failed == stats["Aggregated"]["num_failures"]
    slowest = found["Which requests were the slowest?"]
    assert slowest[0]["response"] == everything["max"]
    assert all(len(row["trace id"]) == 32 for row in slowest)
    assert {row["worker"] for row in slowest} <= {
        row["worker"] for row in found["Do all workers measure the same?"]
    }
    known = [row for row in slowest if None not in row.values()]  # others came without headers
    parts = ("service", "queue", "receiving", "outside", "start delay")
    shares = [sum(row[part] for part in parts) for row in known]
    assert shares == [pytest.approx(1)] * len(shares)


def test_a_heatmap_without_requests_says_so(recorded):
    """Grafana's heatmap ends in a TypeError where it gets no row at all."""
    (query,) = [query for query in SQL if "latency_heatmap(" in query.text]
    chosen = {**recorded.view.variables, "endpoint": "GET /none"}
    nothing = View(recorded.view.start, recorded.view.end, chosen, 1)

    _, rows = recorded.ask(query, nothing)
    _, cells = recorded.ask(query, recorded.view)

    assert [row[1:] for row in rows] == [(NOTHING, 0)] * 2
    assert NOTHING not in {metric for _, metric, _ in cells}


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_an_endpoint_may_have_any_name(recorded, what_if, name):
    """Quotes and backslashes in an endpoint's name find that endpoint's requests, and no others."""
    (count,) = what_if.execute("SELECT count(*) FROM request WHERE name = '/missing'").fetchone()
    for table in ("request", "histogram_closed", "histogram_open"):
        what_if.execute(f"UPDATE {table} SET name = %s WHERE name = '/missing'", [name])
    chosen = {**recorded.view.variables, "endpoint": f"GET {name}"}

    def ask(query, view):
        cursor = what_if.execute(sql(query.text, view))
        return [column.name for column in cursor.description], cursor.fetchall()

    found = _drill_down(ask, View(recorded.view.start, recorded.view.end, chosen, 1))

    assert f"GET {name}" in {row["endpoint"] for row in found["Which endpoint is slow?"]}
    assert sum(cell["requests"] for cell in found["How were latencies spread?"]) == count
    assert {row["endpoint"] for row in found["Which requests were the slowest?"]} == {f"GET {name}"}
    assert sum(row["failures"] for row in found["What failed?"]) == count


def test_a_run_is_listed_with_its_figures(recorded):
    """The list's row says what was sent and its links are the run's own."""
    (query,) = [query for query in SQL if "FROM run_list()" in query.text]

    columns, rows = recorded.ask(query, recorded.view)

    (row,) = [dict(zip(columns, row, strict=True)) for row in rows]
    assert (row["run"], row["plan"], row["users"]) == (recorded.run, "_scenario.py", recorded.users)
    assert row["state"] == "finished"
    assert row["verdict"] == "It can handle 8 users."
    assert (int(row["since"]), int(row["until"])) == recorded.view.milliseconds()
    assert row["service p95"] < row["response p95"]


def test_users_of_workers_add_up(recorded):
    """While the swarm was on, its workers had all users between them, each its half."""
    (total,) = recorded.stack.query("max_over_time(sum(locust_worker_users)[10m:2s])")
    shares = recorded.stack.query("max_over_time(locust_worker_users[10m])")

    assert float(total["value"][1]) == recorded.users
    assert [float(share["value"][1]) for share in shares] == [
        recorded.users / 2,
        recorded.users / 2,
    ]


def test_the_link_to_a_run_spans_it(recorded):
    """Variables give the range of a link: from before the start until after the stop."""
    started, ended = recorded.reader.execute("SELECT id, end_time FROM testrun").fetchone()

    assert datetime.fromtimestamp(recorded.view.start, UTC) < started
    assert datetime.fromtimestamp(recorded.view.end, UTC) > ended
