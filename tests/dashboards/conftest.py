"""A swarm that every dashboard can be asked about."""

from pathlib import Path

import psycopg
import pytest
import requests
from support.databases import Database, database_of_roles
from support.gunicorn import running_gunicorn
from support.key_value import running_key_value_server
from support.swarm import Stack, running_stack
from support.waiting import free_port, poll_until

from benchmarks._dashboard_queries import DASHBOARDS, View, promql, queries, sql

NOT_EVERYWHERE = (  # absent under some kernels, or with another class of workers
    "machine_cpu_throttled_seconds_total",
    "machine_cpu_steal_seconds_total",
    "machine_oom_kills_total",
    "machine_swap_used_bytes",
    "pressure_seconds_total",
    "gunicorn_worker_loop_lag_seconds",
    "gunicorn_worker_wakes_total",
    "gunicorn_worker_queued_connections",
)


class Recorded:
    """A finished swarm, and the view that its link opens."""

    users = 8
    services = ("pricing", "shop")  # what Prometheus scrapes; Locust drives shop only
    everything = ".*"  # what the option All of a variable stands for

    def __init__(
        self, stack: Stack, database: Database, log: str, reader: psycopg.Connection
    ) -> None:
        self.stack = stack
        self.log = log  # what Locust's master said
        self.database = database
        self.reader = reader  # as Grafana connects
        self.run, since, until = reader.execute(
            "SELECT run, since, until FROM run_choice JOIN LATERAL run_range(run) ON true"
            " WHERE run <> 'latest'"
        ).fetchone()
        self.view = View(int(since) / 1000, int(until) / 1000, self.variables(self.run), 1)

    @staticmethod
    def variables(run: str, **others: str) -> dict[str, str]:
        """Return what a viewer has chosen: a value for each variable of any dashboard."""
        everything = dict.fromkeys(("service", "instance", "route"), Recorded.everything)
        chosen = {"run_services": ".+", "job": "shop", "endpoint": "All endpoints", **everything}
        figure = {"part": "response", "measure": "p95"}
        return {"run": run, "baseline": run, **chosen, **figure, **others}

    @staticmethod
    def may_lack(query) -> bool:
        """Return whether some machines have no data for a query."""
        return any(name in query.text for name in NOT_EVERYWHERE)

    def ask(self, query, view) -> tuple[list[str], list[tuple]]:
        """Return the columns and rows that Grafana's role gets."""
        cursor = self.reader.execute(sql(query.text, view))
        return [column.name for column in cursor.description], cursor.fetchall()

    def instant(self, query, view) -> dict[tuple[str, ...], float]:
        """Return Prometheus's answer for a view's end, {labels' values: number}."""
        answer = requests.post(
            f"{self.stack.prometheus}/api/v1/query",
            data={"query": promql(query.text, view), "time": view.end},
            timeout=10,
        ).json()
        result = answer["data"]["result"]
        return {tuple(one["metric"].values()): float(one["value"][1]) for one in result}

    def panel_of_service(self, title: str) -> dict[str, dict[tuple[str, ...], float]]:
        """Return what the dashboard service's panel *title* shows, {refId: `instant`}."""
        (path,) = [path for path in DASHBOARDS if path.stem == "service"]
        return {
            query.target["refId"]: self.instant(query, self.view)
            for query in queries(path)
            if query.place.startswith(f"panel {title}, ")
        }


@pytest.fixture(scope="module")
def recorded(cluster, tmp_path_factory):
    """Let a small swarm run until each end has told all that dashboards ask for."""
    directory = tmp_path_factory.mktemp("swarm")
    scenario = Path(__file__).parent / "_scenario.py"
    ports = {"orders": free_port(), "pricing": free_port()}  # orders is down: an alert that fires
    with (
        database_of_roles(cluster) as database,
        _running_pricing(directory, ports["pricing"]) as pricing,
        running_key_value_server(0.002) as cache_port,
        running_stack(
            directory,
            database.owner,
            scenario,
            more_targets=ports,
            application="support.calling:create_app()",
            service="shop",
            CALLED_URL=f"{pricing.url}/50",
            CACHE_PORT=str(cache_port),
            LOCUST_SLO_P95="60000",  # bursts are not judged where the objective was missed
        ) as stack,
    ):
        stack.start(Recorded.users, Recorded.users)
        poll_until(lambda: _everything_happened(stack, pricing.url), "a request of each kind", 60)
        poll_until(lambda: _health_was_reported(stack), "the generator's health", 60)
        poll_until(lambda: stack.query('ALERTS{alertstate="firing"}'), "an alert", 60)
        stack.stop()
        poll_until(stack.conserved, "all samples to be everywhere", 60)
        poll_until(stack.all_delivered, "the run to be complete", 60)
        with psycopg.connect(database.owner) as connection:
            connection.execute(  # of an app's database that nobody named
                "INSERT INTO database_sample (run_id, time, database, on_cpu, io, lock, lwlock,"
                " client, other, idle_in_transaction, locks_contended, connections,"
                " max_connections) SELECT id, end_time, 'shop', 2, 0, 1, 0, 0, 0, 1, 1, 9, 100"
                " FROM testrun"
            )
            connection.execute(  # nothing else would write such rows for this swarm
                "INSERT INTO events (time, run_id, kind, text)"
                " SELECT end_time, id, 'samples_dropped', '3 samples dropped' FROM testrun"
                " UNION ALL SELECT end_time, id, 'verdict', 'It can handle 8 users.' FROM testrun"
            )
        log = (directory / "locust.log").read_text()
        with psycopg.connect(database.reader, autocommit=True) as reader:
            yield Recorded(stack, database, log, reader)


@pytest.fixture
def what_if(recorded):
    """Return a connection to the recorded data on which a test may change it for itself."""
    with psycopg.connect(recorded.database.owner) as connection:
        yield connection
        connection.rollback()


def _running_pricing(directory, metrics_port):
    """Run a service that somebody else calls while the swarm drives the shop."""
    conf = ("--config", "api/gunicorn.conf.py", "--pythonpath", "tests")
    settings = {"API_WORKERS": "1", "API_METRICS_PORT": str(metrics_port)}
    log = directory / "pricing.log"
    return running_gunicorn(*conf, "support.working:create_app()", log=log, environment=settings)


def _everything_happened(stack, pricing):
    requests.get(f"{pricing}/50", timeout=10)
    rows = {(row["method"], row["name"]): row for row in stack.state()["stats"]}
    kinds = [("GET", "/tests"), ("POST", "/tests"), ("GET", "/missing")]
    recorded = stack.query("job:flask_http_request_duration_seconds:p95_rate10s > 0")
    return {found["metric"]["job"] for found in recorded} == set(Recorded.services) and all(
        rows.get(kind, {}).get("num_requests", 0) > 20 for kind in kinds
    )


def _health_was_reported(stack):
    names = ("locust_worker_cpu_ratio", "locust_event_loop_lag_seconds")
    arrivals = "locust_arrival_dispersion_ratio"
    return all(stack.query(name) for name in (*names, arrivals))
