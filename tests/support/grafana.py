"""A real Grafana, from the installation that GRAFANA_HOME names, with our provisioning."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from dotenv import dotenv_values

from benchmarks._dashboard_queries import DASHBOARDS
from support.databases import Database
from support.gunicorn import ROOT
from support.processes import clean_environment, running
from support.waiting import free_port, poll_until

HOME = os.environ.get("GRAFANA_HOME")
TIMEOUT_S = 30


@dataclass(frozen=True)
class Grafana:
    """A running Grafana; whoever asks it is an anonymous viewer unless they are the admin."""

    url: str
    admin_password: str

    def get(self, path: str, admin: bool = False) -> Any:
        """Return the JSON at *path*."""
        auth = ("admin", self.admin_password) if admin else None
        answer = requests.get(f"{self.url}{path}", auth=auth, timeout=TIMEOUT_S)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON that answers *body*, sent by the admin."""
        auth = ("admin", self.admin_password)
        answer = requests.post(f"{self.url}{path}", json=body, auth=auth, timeout=TIMEOUT_S)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def query(self, queries: list[dict[str, Any]], start_ms: int, end_ms: int) -> dict[str, Any]:
        """Return {refId: result} of *queries*, asked as a viewer's browser does."""
        body = {"queries": queries, "from": str(start_ms), "to": str(end_ms)}
        answer = requests.post(f"{self.url}/api/ds/query", json=body, timeout=TIMEOUT_S)
        return answer.json()["results"]


@contextlib.contextmanager
def running_grafana(directory: Path, prometheus: str, database: Database) -> Iterator[Grafana]:
    """Run Grafana on a free port, provisioned as the native stack does it, until the block ends."""
    with _serving(
        directory,
        GF_PATHS_PROVISIONING=str(ROOT / "grafana/provisioning"),
        GF_READER_PASSWORD=database.reader_password,
        PGDATABASE=database.name,
        PGHOST="127.0.0.1",
        PGPORT=str(database.port),
        PROMETHEUS_URL=prometheus,
    ) as grafana:
        poll_until(lambda: _ready(grafana), "Grafana and its dashboards", 90)
        yield grafana


@contextlib.contextmanager
def running_foreign_grafana(directory: Path, data_sources: str) -> Iterator[Grafana]:
    """Run a Grafana that knows nothing but *data_sources*, in YAML, below a path of a proxy."""
    provisioning = directory / "provisioning"
    (provisioning / "datasources").mkdir(parents=True)
    (provisioning / "datasources/company.yaml").write_text(data_sources)
    with _serving(
        directory,
        "/grafana",
        GF_PATHS_PROVISIONING=str(provisioning),
        GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH="",
        GF_DATABASE_WAL="true",  # else a request while it starts may find the database locked
        GF_SERVER_SERVE_FROM_SUB_PATH="true",
    ) as grafana:
        number = data_sources.count("- name:")
        poll_until(lambda: _has_sources(grafana, number), "Grafana and its data sources", 90)
        yield grafana


@contextlib.contextmanager
def _serving(directory: Path, path: str = "", **settings: str) -> Iterator[Grafana]:
    assert HOME
    port, admin_password = free_port(), secrets.token_hex(24)
    url = f"http://127.0.0.1:{port}{path}"
    common = dotenv_values(ROOT / "grafana/grafana.env", interpolate=False)
    own = {
        "GF_PATHS_DATA": str(directory / "data"),
        "GF_PATHS_LOGS": str(directory / "logs"),
        "GF_PATHS_PLUGINS": str(directory / "plugins"),
        "GF_SECURITY_ADMIN_PASSWORD": admin_password,
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_SERVER_ROOT_URL": f"{url}/",
    }
    settings = {name: value or "" for name, value in common.items()} | own | settings
    command = [Path(HOME) / "bin/grafana", "server", f"--homepath={HOME}"]
    environment = clean_environment(**settings)
    with running(command, directory / "grafana.log", environment, Path(HOME)):
        yield Grafana(url, admin_password)


def _ready(grafana: Grafana) -> bool:
    try:
        return len(grafana.get("/api/search?type=dash-db")) == len(DASHBOARDS)
    except (requests.RequestException, AssertionError):
        return False


def _has_sources(grafana: Grafana, number: int) -> bool:
    try:
        return len(grafana.get("/api/datasources", admin=True)) == number
    except (requests.RequestException, AssertionError):
        return False
