"""docs/your-grafana.md, step by step: one's own PostgreSQL, Prometheus and Grafana."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest
import requests
from support.browser import CHROMIUM, chromium_page
from support.company import PAGE, Company, block, running_company
from support.grafana import HOME, running_foreign_grafana
from support.gunicorn import PROGRAMS, ROOT
from support.processes import clean_environment, running
from support.rich_run import SECONDS, store_rich_run
from support.stored_runs import START
from support.waiting import free_port, poll_until

from benchmarks import _large_metrics as metrics
from benchmarks._dashboard_queries import Query, View, interpolated, load, promql, queries
from swarmscope.stack.postgres import MAJOR_VERSION

SCENARIO = """
from locust import HttpUser, constant, task


class Visitor(HttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        self.client.get("/health")
"""
needs_grafana = pytest.mark.skipif(HOME is None, reason="GRAFANA_HOME is not set: no Grafana")
needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus") or not shutil.which("promtool"), reason="prometheus is missing"
)


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Iterator[Company]:
    """Return a company's server."""
    with running_company(tmp_path_factory.mktemp("company")) as company:
        yield company


def test_the_page_names_the_servers_that_it_is_tested_with():
    assert f"PostgreSQL {MAJOR_VERSION}" in PAGE


def test_the_owner_has_no_more_rights_than_it_needs(company):
    """It owns the schema's tables, and nothing beyond: no other roles, no other databases."""
    with psycopg.connect(company.owner, autocommit=True) as owner:
        rights = owner.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tableowner = current_user"
        schemas = owner.execute(tables).fetchall()

    assert rights == (False,) * 5
    assert schemas == [("public",)]


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM request", "CREATE TABLE mine ()", "CREATE TEMP TABLE mine ()", "VACUUM events"],
)
def test_the_reader_only_reads(company, statement):
    """Even in a session that has undone its own settings."""
    with psycopg.connect(company.reader, autocommit=True) as reader:
        assert reader.execute("SELECT count(*) FROM run").fetchone()
        reader.execute("SET default_transaction_read_only TO off")
        if statement.startswith("VACUUM"):  # that is a warning
            reader.add_notice_handler(lambda notice: pytest.fail("VACUUM") if not notice else None)
            return
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(statement)


def test_others_cannot_connect(company):
    with psycopg.connect(company.superuser, autocommit=True) as admin:
        admin.execute("CREATE ROLE passer_by LOGIN PASSWORD 'hello'")

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(company.dsn("passer_by", "hello"))


def test_a_reader_who_came_later_may_read_after_another_migrate(company):
    """As the page's last table says."""
    with psycopg.connect(company.owner, autocommit=True) as owner:
        owner.execute("REVOKE SELECT ON run FROM swarmscope_reader")

    assert "up to date" in company.run("swarmscope migrate")

    with psycopg.connect(company.reader) as reader:
        assert reader.execute("SELECT count(*) FROM run").fetchone()


@contextlib.contextmanager
def _prometheus(directory: Path, port: int):
    """Run a company's Prometheus, on the configuration in *directory*."""
    command = ["prometheus", f"--config.file={directory}/prometheus.yml"]
    command += [f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--storage.tsdb.retention.time=10y"]
    url = f"http://127.0.0.1:{port}"
    with running(command, directory / "prometheus.log", clean_environment(), directory):
        poll_until(lambda: _is_ready(url), "Prometheus", 60)
        yield url


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.proof
@needs_prometheus
def test_locust_and_the_service_are_recorded_and_scraped(company):
    """The page's commands and scrape configuration: a run in one's own database, with its service.

    Jobs are named as the configuration names them; the rules' rates are those of the run.
    """
    ports = {name: free_port() for name in ("service", "locust", "prometheus")}
    gunicorn, locust = block("SWARMSCOPE_METRICS_HOST").splitlines()
    company.run(block("swarmscope dashboards swarmscope-grafana", **{" 5s": " 1s"}))
    scrape = block(
        "rule_files",
        **{
            "5s": "1s",
            "shop.example.com:9102": f"127.0.0.1:{ports['service']}",
            "load.example.com:9646": f"127.0.0.1:{ports['locust']}",
        },
    )
    (company.directory / "prometheus.yml").write_text(scrape)
    shutil.copy(company.directory / "swarmscope-grafana/swarmscope-rules.yml", company.directory)
    (company.directory / "locustfile.py").write_text(SCENARIO)
    log = company.directory / "gunicorn.log"
    environment = clean_environment(
        PATH=f"{PROGRAMS}:{os.environ['PATH']}",
        GUNICORN_CMD_ARGS="--bind 127.0.0.1:0",
        SWARMSCOPE_METRICS_PORT=str(ports["service"]),
        SHOP_DATABASE_URL=f"sqlite:///{company.directory}/shop.db",
    )
    shop = ["bash", "-c", f"export {gunicorn.split()[0]}; exec {gunicorn.split(' ', 1)[1]}"]
    with (
        running(shop, log, environment, ROOT / "examples/shop"),
        _prometheus(company.directory, ports["prometheus"]) as prometheus,
    ):
        served = poll_until(
            lambda: re.search(r"Listening at: (http://\S+)", log.read_text()), "the shop", 60
        )
        command = locust.replace("9646", str(ports["locust"]))
        command = command.replace("http://prometheus.example.com:9090", prometheus)
        company.run(f"{command} --headless -u 3 -r 3 -t 6s --host {served[1]}")
        shown = json.loads(company.run("swarmscope show latest --json --wait 30"))
        rate = "job:flask_http_request_duration_seconds_count:rate10s"
        found = {
            name: metrics.ask(prometheus, "query", query=f"max_over_time({name}[10m])")
            for name in (rate, "locust_users")
        }

    assert {r["metric"]["job"]: float(r["value"][1]) > 0 for r in found[rate]} == {"shop": True}
    assert [(r["metric"]["job"], r["value"][1]) for r in found["locust_users"]] == [("locust", "3")]
    assert shown["totals"]["requests"] > 20
    assert [service["name"] for service in shown["services"]] == ["shop"]


@needs_prometheus
def test_the_scrape_configuration_is_valid(company):
    """With the rules of the page's command beside it."""
    written = company.run(block("swarmscope dashboards swarmscope-grafana"))
    directory = company.directory / "swarmscope-grafana"
    (company.directory / "check.yml").write_text(block("rule_files"))
    shutil.copy(directory / "swarmscope-rules.yml", company.directory)

    _promtool(company.directory, "check", "config", "check.yml")
    assert "SUCCESS" in written


DURING = View(START.timestamp(), START.timestamp() + SECONDS, {}, 15)
BEFORE_S, AFTER_S = 600, 120  # of data around the run
RUN = "2026-03-01T12:00:00.250000Z"
NOT_IN_THE_DATA = {
    "annotation Alerts",
    "annotation Trouble",
    "panel Does scraping work?, A",
    "panel What would a closed test have hidden?, A",
    "variable page",
}


@pytest.fixture(scope="module")
def scraped_rarely(company) -> Iterator[str]:
    """A Prometheus that scraped every 15 s during a stored run, with the rules for that."""
    directory = company.directory / "rare"
    directory.mkdir()
    begin = int(START.timestamp()) - BEFORE_S
    seconds = BEFORE_S + SECONDS + AFTER_S
    company.run("swarmscope dashboards swarmscope-15s --scrape-interval 15s")
    metrics.write_scraped(directory / "metrics.txt", begin, seconds, 15)
    (directory / "prometheus.yml").write_text("{}\n")
    made = ["tsdb", "create-blocks-from"]
    _promtool(directory, *made, "openmetrics", "metrics.txt", "data")
    with _prometheus(directory, free_port()) as url:
        when = ["--start", begin, "--end", begin + seconds, "--eval-interval", "15s"]
        rules = company.directory / "swarmscope-15s/swarmscope-rules.yml"
        _promtool(directory, *made, "rules", "--url", url, "--output-dir", "recorded", *when, rules)
    for made_block in (directory / "recorded").iterdir():
        if made_block.is_dir() and (made_block / "meta.json").exists():
            made_block.rename(directory / "data" / made_block.name)
    with _prometheus(directory, free_port()) as url:
        yield url


def _promtool(directory: Path, *arguments: object) -> None:
    command = ["promtool", *map(str, arguments)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def imported(company, scraped_rarely, tmp_path_factory):
    """A bare Grafana with the page's data sources, after the page's import."""
    with psycopg.connect(company.owner, autocommit=True) as owner:
        store_rich_run(owner)
    sources = block(
        "apiVersion: 1\ndatasources",
        **{
            "http://prometheus.example.com:9090": scraped_rarely,
            "timeInterval: 5s": "timeInterval: 15s",
            "db.example.com:5432": f"127.0.0.1:{company.port}",
            "require": "disable",
        },
    )
    with running_foreign_grafana(tmp_path_factory.mktemp("grafana"), sources) as grafana:
        account = {"name": "importer", "role": "Editor"}
        number = grafana.post("/api/serviceaccounts", account)["id"]
        token = grafana.post(f"/api/serviceaccounts/{number}/tokens", {"name": "t"})["key"]
        script = block("curl", **{"swarmscope-grafana": "swarmscope-15s"})
        company.run(script, GRAFANA_URL=grafana.url, GRAFANA_TOKEN=token)
        yield grafana


@pytest.fixture(scope="module")
def dashboards(imported, tmp_path_factory) -> list[Path]:
    """The dashboards as Grafana has stored them, in files."""
    directory = tmp_path_factory.mktemp("imported")
    for found in imported.get("/api/search?type=dash-db"):
        stored = imported.get(f"/api/dashboards/uid/{found['uid']}")
        assert stored["meta"]["folderUid"] == "swarmscope"
        (directory / f"{found['uid']}.json").write_text(json.dumps(stored["dashboard"]))
    return sorted(directory.iterdir())


def _seconds(text: str) -> int:
    return int(text.removesuffix("s")) if text else 0


def _rows(grafana, query: Query, view: View) -> list[list]:
    """Return a query's columns, asked with the interval that a panel of few points has."""
    is_variable = query.place.startswith("variable")
    own = query.target.get("interval", "")
    asked = {
        "refId": "A",
        "datasource": {"uid": query.datasource},
        "format": "table",
        "rawSql": interpolated(query.text, view),
        "expr": (promql if is_variable else interpolated)(query.text, view),
        "range": True,
        "interval": own,
        "intervalMs": 15_000,
        "maxDataPoints": 1000,
        **{key: query.target[key] for key in ("format", "instant", "range") if key in query.target},
    }
    result = grafana.query([asked], *view.milliseconds())["A"]
    assert result["status"] == 200, (str(query), result)
    columns = [frame["data"]["values"] for frame in result["frames"]]
    return [values for values in columns if values and values[0]]


@pytest.mark.grafana
@needs_grafana
@needs_prometheus
class TestImport:
    """Tests of the imported dashboards, which share the servers."""

    def test_an_import_is_what_file_provisioning_loads(self, company, dashboards):
        """For that the page has the same files written with the data sources' uids."""
        company.run(block("swarmscope dashboards /etc", **{"/etc/grafana/": "", " 5s": " 15s"}))

        written = sorted((company.directory / "swarmscope").glob("*.json"))
        assert [path.name for path in written] == [path.name for path in dashboards]
        for one, other in zip(map(load, written), map(load, dashboards), strict=True):
            assert other.keys() - one.keys() <= {"version"}
            assert {name: other[name] for name in one if name != "id"} == {
                name: one[name] for name in one if name != "id"
            }

    @pytest.mark.parametrize(
        "name", ["swarm", "service", "generator", "requests", "resources", "runs"]
    )
    def test_every_query_is_answered(self, imported, dashboards, name):
        """By the company's data sources, and with values although scrapes are 15 s apart."""
        (path,) = [path for path in dashboards if path.stem == f"swarmscope-{name}"]
        everything = dict.fromkeys(("service", "instance", "route"), ".*")
        chosen = {"run": RUN, "baseline": RUN, "run_services": "api", "job": "api"}
        variables = {**everything, **chosen, "endpoint": "All endpoints"}
        view = View(DURING.start, DURING.end, variables, 15)
        asked = list(queries(path))

        empty = [str(query) for query in asked if not _rows(imported, query, view)]

        assert {query.datasource for query in asked} <= {"metrics", "loadtests"}
        assert {place.partition(": ")[2] for place in empty} <= NOT_IN_THE_DATA

    @pytest.mark.browser
    @pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing")
    def test_links_lead_to_the_other_dashboards(self, imported, dashboards):
        """Below the path of a proxy, too; no panel has an error."""
        asked = urlencode({"from": DURING.milliseconds()[0], "to": DURING.milliseconds()[1]})
        with chromium_page(height=3000) as page:
            page.set_default_timeout(60_000)
            page.goto(f"{imported.url}/d/swarmscope-runs?{asked}", wait_until="commit")
            page.get_by_role("heading", name="Which runs are there?", exact=True).wait_for()
            link = page.locator(f"a[href*='/d/swarmscope-swarm?var-run={RUN}&']").first
            link.wait_for()
            others = {path.stem: load(path)["title"] for path in dashboards}
            del others["swarmscope-runs"]
            buttons = [page.get_by_role("link", name=name, exact=True) for name in others.values()]
            paths = [urlsplit(button.get_attribute("href")).path for button in buttons]
            page.goto(imported.url.removesuffix("/grafana") + link.get_attribute("href"))
            page.get_by_role("heading", name="Load", exact=True).wait_for()
            page.wait_for_load_state("networkidle")

            assert [path.split("/")[:4] for path in paths] == [
                ["", "grafana", "d", uid] for uid in others
            ]
            assert page.get_by_test_id("data-testid Panel status error").count() == 0
