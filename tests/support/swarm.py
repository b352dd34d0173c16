"""A real small stack around a runs database: gunicorn, Locust master and workers, Prometheus."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import requests
from prometheus_client.parser import text_string_to_metric_families

from support.databases import libpq_environment
from support.forks import fork
from support.gunicorn import ROOT, running_gunicorn
from support.locust_ui import LocustUi
from support.processes import clean_environment, end, running
from support.waiting import free_port, poll_until, port_answers

LOCUST = Path(sys.executable).parent / "locust"
COUNTED = "flask_http_request_duration_seconds_count"


@dataclass(frozen=True)
class Stack(LocustUi):
    """Where the parts of a running stack are; `database` is its owner's connection string."""

    timeout_s = 10.0

    service: str  # the API's job
    api: str
    api_metrics: str
    locust: str
    locust_metrics: str
    prometheus: str
    database: str

    @property
    def url(self) -> str:
        """The address of Locust's UI."""
        return self.locust

    def stop(self) -> None:
        """Stop the swarm and wait until it has stopped."""
        super().stop()
        poll_until(lambda: self.state()["state"] in ("stopped", "ready"), "the swarm to stop")

    def counted(self) -> int:
        """Return how many requests the API has counted since it started."""
        text = requests.get(f"{self.api_metrics}/metrics", timeout=self.timeout_s).text
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return int(sum(sample.value for sample in samples if sample.name == COUNTED))

    def scraped(self) -> int:
        """Return the API's count as Prometheus last saw it, raw."""
        result = self.query(f'sum({COUNTED}{{job="{self.service}"}})')
        return int(float(result[0]["value"][1])) if result else 0

    def stored(self) -> int:
        """Return how many request rows the runs database has."""
        with psycopg.connect(self.database) as connection:
            (count,) = connection.execute("SELECT count(*) FROM request").fetchone()
        return count

    def stored_by_run(self) -> list[int]:
        """Return how many request rows each run has, in the order of their starts."""
        with psycopg.connect(self.database) as connection:
            counts = "SELECT count(*) FROM request GROUP BY run_id ORDER BY run_id"
            return [count for (count,) in connection.execute(counts).fetchall()]

    def all_delivered(self) -> bool:
        """Tell whether every journal that took part in a run has delivered its end."""
        with psycopg.connect(self.database) as connection:
            return connection.execute("SELECT bool_and(complete) FROM run").fetchone() == (True,)

    def conserved(self) -> bool:
        """Tell whether what was sent has been counted, scraped and stored; nothing is under way."""
        counts = {self.done(), self.counted(), self.scraped(), self.stored()}
        return len(counts) == 1 and 0 not in counts

    def query(self, expression: str) -> list[dict[str, object]]:
        """Return Prometheus's answer to an instant query."""
        answer = requests.post(
            f"{self.prometheus}/api/v1/query", data={"query": expression}, timeout=self.timeout_s
        ).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]


@contextlib.contextmanager
def running_stack(
    directory: Path,
    database: str,
    scenario: Path = ROOT / "locustfiles/classic.py",
    workers: int = 2,
    more_targets: Mapping[str, int] | None = None,
    application: str = "api:create_app()",
    service: str = "api",
    captures: bool = False,
    **settings: str,
) -> Iterator[Stack]:
    """Run *application*, Locust master and *workers*, and Prometheus until the block ends.

    *database* is the connection string of a migrated runs database's owner; *settings* are
    variables of the API and of Locust, *service* is the API's job, *more_targets* {job: port} for
    Prometheus to scrape too. With *captures* Locust knows of Prometheus. All files, among them a
    log per process, go to *directory*.
    """
    with contextlib.ExitStack() as parts, _logs_in_failures(directory):
        metrics_port = free_port()
        gunicorn = parts.enter_context(_running_api(directory, application, metrics_port, settings))
        ports = {name: free_port() for name in ("web", "master", "metrics", "prometheus")}
        if captures:
            (directory / "home").mkdir()
            url = f"http://127.0.0.1:{ports['prometheus']}"
            (directory / "home/prometheus.url").write_text(url)
        environment = _locust_environment(directory, database, settings)
        parts.enter_context(_running_locust(directory, environment, scenario, gunicorn.url, ports))
        for number in range(workers):
            parts.enter_context(_running_worker(directory, environment, scenario, ports, number))
        targets = {service: metrics_port, "locust": ports["metrics"], **(more_targets or {})}
        parts.enter_context(_running_prometheus(directory, targets, ports["prometheus"]))
        stack = Stack(
            service=service,
            api=gunicorn.url,
            api_metrics=f"http://127.0.0.1:{metrics_port}",
            locust=f"http://127.0.0.1:{ports['web']}",
            locust_metrics=f"http://127.0.0.1:{ports['metrics']}",
            prometheus=f"http://127.0.0.1:{ports['prometheus']}",
            database=database,
        )
        _wait_until_ready(stack, workers)
        yield stack


@contextlib.contextmanager
def _logs_in_failures(directory: Path) -> Iterator[None]:
    """Let a failure inside the block show the end of each log."""
    try:
        yield
    except AssertionError as failure:
        for log in sorted(directory.glob("*.log")):
            failure.add_note(f"--- {log.name}\n{log.read_text()[-2000:]}")
        raise


def _wait_until_ready(stack: Stack, workers: int) -> None:
    port = int(stack.locust.rpartition(":")[2])
    poll_until(lambda: port_answers(port), "the Locust UI", seconds=60)
    poll_until(lambda: len(stack.state()["workers"]) == workers, "workers", seconds=60)
    port = int(stack.prometheus.rpartition(":")[2])
    poll_until(lambda: port_answers(port), "Prometheus to listen", seconds=60)
    is_up = f'up{{job="{stack.service}"}} == 1'
    poll_until(lambda: stack.query(is_up), "a scrape of the API", seconds=60)


def _running_api(directory, application, metrics_port, settings):
    environment = {
        "API_WORKERS": "2",
        "API_METRICS_PORT": str(metrics_port),
        "API_DATABASE_URL": f"sqlite:///{directory}/api.sqlite3",
        **settings,
    }
    arguments = ("--config", "api/gunicorn.conf.py", "--pythonpath", "tests", application)
    return running_gunicorn(*arguments, log=directory / "api.log", environment=environment)


def _locust_environment(
    directory: Path, database: str, settings: Mapping[str, str]
) -> dict[str, str]:
    home = {
        "SWARMSCOPE_HOME": str(directory / "home"),
        "LOCUST_GRAFANA_URL": "http://localhost:3000/d/swarmscope-swarm",
    }
    return clean_environment(**libpq_environment(database), **home, **settings)


def _running_locust(directory, environment, scenario, host, ports):
    command = [LOCUST, "-f", scenario, "--master", "--timescale", "--host", host]
    command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(ports["master"])]
    command += ["--web-host", "127.0.0.1", "--web-port", str(ports["web"])]
    command += ["--metrics-port", str(ports["metrics"]), "--stop-timeout", "10"]
    return _forked(command, directory / "locust.log", environment)


def _running_worker(directory, environment, scenario, ports, number):
    command = [LOCUST, "-f", scenario, "--worker", "--timescale", "--stop-timeout", "10"]
    command += ["--master-host", "127.0.0.1", "--master-port", str(ports["master"])]
    return _forked(command, directory / f"locust-worker-{number}.log", environment)


@contextlib.contextmanager
def _forked(command, log, environment):
    process = fork([str(word) for word in command], ROOT, environment, log)
    try:
        yield
    finally:
        end(process)


def _running_prometheus(directory: Path, targets: dict[str, int], port: int):
    """Run Prometheus on a copy of the shipped configuration with target files beside it."""
    home = directory / "prometheus"
    (home / "targets").mkdir(parents=True)
    for name in ("prometheus.yml", "rules.yml"):
        shutil.copy(ROOT / "prometheus" / name, home)
    groups = [
        {"targets": [f"127.0.0.1:{target}"], "labels": {"job": job}}
        for job, target in targets.items()
    ]
    (home / "targets/stack.json").write_text(json.dumps(groups))
    command = ["prometheus", f"--config.file={home}/prometheus.yml"]
    command += [f"--storage.tsdb.path={home}/data", f"--web.listen-address=127.0.0.1:{port}"]
    return running(command, directory / "prometheus.log", clean_environment(), ROOT)
