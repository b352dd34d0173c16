"""`up` in another project: a one-file Flask app whose environment has none of our packages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from support.environments import foreign_programs
from support.native import Native, native
from support.waiting import free_port, poll_until

pytestmark = pytest.mark.stack

SHOP = """\
import os

from flask import Flask

app = Flask(__name__)


@app.get("/hello")
def hello():
    names = ("PGHOST", "SHOP_COLOUR", "VIRTUAL_ENV")
    return {name: os.environ.get(name) for name in names}
"""
PROJECT = """\
[app]
name = "shop"
wsgi = "shop:app"
env = {{ SHOP_COLOUR = "green" }}

[services.pricing]
command = "gunicorn --threads 2 -c conf.py shop:app"
port = {}
metrics_port = {}

[services.files]
command = "python -m http.server --bind 127.0.0.1 $PORT"
port = {}
metrics_port = {}

[services.worker]
command = "python worker.py"
listens = false

[slo]
p95_ms = 300
"""
SCENARIO = """\
from locust import HttpUser, constant, task


class Guest(HttpUser):
    wait_time = constant(0.1)

    @task
    def hello(self):
        self.client.get("/hello")
"""
PART = [word for part in ("postgres", "prometheus", "app") for word in ("--only", part)]


@dataclass(frozen=True)
class Up:
    """A stack that is up, and what `up` printed."""

    stack: Native
    printed: str

    def get(self, port: str, path: str) -> requests.Response:
        """Return the answer of what listens at the port of that setting."""
        url = f"http://127.0.0.1:{self.stack.environment[port]}{path}"
        return requests.get(url, timeout=10)

    def query(self, expression: str) -> dict[str, float]:
        """Return a query's values in Prometheus by job."""
        path = f"/api/v1/query?query={expression}"
        result = self.get("PROMETHEUS_PORT", path).json()["data"]["result"]
        return {row["metric"].get("job", ""): float(row["value"][1]) for row in result}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Start the project; it is down after the module, with nothing left of it."""
    if shutil.which("prometheus") is None:
        pytest.skip("there is no prometheus on PATH")
    directory = tmp_path_factory.mktemp("shop")
    foreign_programs(directory / ".venv", "3.11", "flask", "gunicorn==23.*")
    (directory / "shop.py").write_text(SHOP)
    worker = "import time\nprint('working', flush=True)\ntime.sleep(1000)\n"
    (directory / "worker.py").write_text(worker)
    (directory / "conf.py").write_text('bind = "0.0.0.0:1"\nproc_name = "from-conf"\n')
    (directory / "locustfile.py").write_text(SCENARIO)
    ports = [free_port() for _ in range(4)]
    (directory / "swarmscope.toml").write_text(PROJECT.format(*ports))
    stack = native(directory, directory / ".swarmscope")
    stack = replace(stack, environment={**stack.environment, "PGHOST": "shops.example"})
    done = stack.run("up", "--detach", *PART)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield Up(stack, done.stdout)
        assert stack.ask("down").returncode == 0
        assert stack.leftovers() == []
    finally:
        stack.kill_leftovers()


def test_the_app_runs_in_its_own_environment(up: Up) -> None:
    """With its own variables, its own PG* among them."""
    assert up.get("API_PORT", "/hello").json() == {
        "PGHOST": "shops.example",
        "SHOP_COLOUR": "green",
        "VIRTUAL_ENV": str(up.stack.directory / ".venv"),
    }


def test_requests_are_counted_under_its_own_name(up: Up) -> None:
    """Also those to a command that turned out to be gunicorn; what has no metrics is no target."""
    up.get("API_PORT", "/hello")
    requests.get(up.stack.services()["pricing"]["url"] + "/hello", timeout=10)

    counted = 'sum by (job)(flask_http_request_total{status="200"})'
    poll_until(lambda: up.query(counted).keys() == {"shop", "pricing"}, "both services' counts")
    assert up.query(counted)["pricing"] == 1
    assert up.query("up") == {"shop": 1, "pricing": 1}
    assert "files serves no metrics: only the client's side of it is measured." in up.printed


def test_services_go_by_their_names(up: Up) -> None:
    """In what `up` prints, in `status` and in `logs`."""
    services = up.stack.services()

    for name in ("shop", "pricing", "files"):
        assert services[name]["state"] == "running"
        assert f"  {name:<12}{services[name]['url']}" in up.printed
        assert up.stack.ask("logs", name).returncode == 0
    assert "Metrics at: " in up.stack.ask("logs", "pricing").stdout
    worker = services["worker"]
    assert (worker["state"], worker["url"]) == ("running", None)
    assert "working" in up.stack.ask("logs", "worker").stdout
    assert "worker" not in up.printed.partition("is running")[2]


def test_the_slo_reaches_rules_buckets_and_verdict(up: Up) -> None:
    """300 ms are 0.3 s in the alerts' objective and an edge of the app's histogram."""
    up.get("API_PORT", "/hello")
    assert up.query("swarmscope:objective_seconds") == {"": 0.3}
    assert 'le="0.3"' in up.get("API_METRICS_PORT", "/metrics").text

    ran = up.stack.run("locust", "--headless", "-u", "2", "-t", "2s", PGHOST="")
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(up.stack.ask("show", "--json", PGHOST="").stdout)
    assert shown["objective"]["limit_ms"] == 300
    assert shown["run"]["host"] == f"http://127.0.0.1:{up.stack.environment['API_PORT']}"


def test_an_app_can_be_profiled(up: Up) -> None:
    """Without a setting, from this machine."""
    answer = up.get("API_METRICS_PORT", "/debug/pprof/profile?seconds=1")

    assert answer.status_code == 200
    assert answer.content[:2] == b"\x1f\x8b"  # gzip


def test_an_app_that_does_not_import(up: Up, tmp_path: Path) -> None:
    """Its own last line is the error, and its traceback is in its log."""
    (tmp_path / "swarmscope.toml").write_text(
        f'[app]\nname = "broken"\nwsgi = "shopp:app"\npython = "{up.stack.directory}/.venv"\n'
    )
    stack = native(tmp_path, tmp_path / "home")
    done = stack.run("up", "--detach", "--only", "app")

    assert (done.returncode, done.stderr) == (
        1,
        "Error: broken died during startup: ModuleNotFoundError: No module named 'shopp'\n"
        "`swarmscope logs broken` has the rest\n",
    )
    assert "Traceback" in stack.ask("logs", "broken").stdout
    assert stack.leftovers() == []


def test_without_gunicorn(tmp_path: Path) -> None:
    """One line says so, before anything is made."""
    foreign_programs(tmp_path / ".venv", "3.11", "flask")
    (tmp_path / "swarmscope.toml").write_text('[app]\nname = "shop"\nwsgi = "shop:app"\n')
    done = native(tmp_path, tmp_path / "home").ask("up")

    assert (done.returncode, done.stderr) == (
        1,
        "Error: shop's environment (.venv) has no gunicorn:"
        " uv pip install --python .venv gunicorn\n",
    )
    assert not (tmp_path / "home/postgres/data").exists()


def test_in_a_directory_that_is_no_project(tmp_path: Path) -> None:
    """What to do is said, and the directory is left as it was."""
    (tmp_path / "here").mkdir()
    done = native(tmp_path / "here", tmp_path / "here/.swarmscope").ask("up")

    assert (done.returncode, done.stderr) == (
        1,
        "Error: no swarmscope.toml here, and no [tool.swarmscope] in pyproject.toml:"
        " `swarmscope init` writes one for your app, `swarmscope demo` starts the sample\n",
    )
    assert list((tmp_path / "here").iterdir()) == []
