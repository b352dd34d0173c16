"""The override that `swarmscope init --compose` writes, as Compose understands it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.command import answer
from support.compose import need_compose
from support.processes import clean_environment
from support.projects import write_project

from swarmscope.runs.resources import named

DOCKERFILE = """
    FROM python:3.13-slim
    CMD ["gunicorn", "-c", "conf.py", "--bind", "0.0.0.0:8080", "shop:app"]
"""
SETTINGS = """
    [app]
    name = "api"
    wsgi = "shop:app"
    ready = "/health?a=$b"

    [load]
    locustfile = "load/scenario.py"

    [resources.jobs]
    use = "sum(rate(job_seconds_total[$__rate_interval]))"
"""
PROJECT = {
    "Dockerfile": DOCKERFILE,
    "swarmscope.toml": SETTINGS,
    "load/scenario.py": "from locust import HttpUser",
    "load/requirements.txt": "iniconfig",
}


def configuration(directory: Path, *files: str) -> dict[str, Any]:
    """Return what Compose makes of *files* in *directory*."""
    options = [word for name in files for word in ("-f", name)]
    done = subprocess.run(
        ["docker", "compose", *options, "config", "--format", "json"],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A project with a Dockerfile, whose service is called api, as the sample's; configured."""
    need_compose()
    directory = write_project(tmp_path_factory.mktemp("projects") / "shop", PROJECT)
    answer("init", "--compose", cwd=directory)
    return directory, configuration(directory, "compose.swarmscope.yml")


def test_it_is_the_stack_with_another_service(shop: tuple[Path, dict[str, Any]]) -> None:
    """All else is as in the stack's own file, but for what names the service."""
    directory, found = shop
    ours = configuration(directory / ".swarmscope-stack", "docker-compose.yml")["services"]
    services = found["services"]

    assert services.keys() == ours.keys() | {"swarmscope-requirements", "swarmscope-server"}
    assert found["name"] == "shop-swarmscope"
    for name in ("timescale", "migrate", "grafana"):
        assert {**ours[name], "image": 0} == {**services[name], "image": 0}
    for name in ("locust", "locust-worker", "prometheus"):
        for key in ("command", "cap_drop", "healthcheck", "read_only"):
            assert services[name].get(key) == ours[name].get(key), (name, key)


def test_the_service_is_the_projects_own(shop: tuple[Path, dict[str, Any]]) -> None:
    """Nothing of the sample is left in it."""
    directory, found = shop
    service = found["services"]["api"]

    assert service["build"] == {"context": str(directory), "dockerfile": "Dockerfile"}
    assert service["command"] == ["gunicorn", "--bind", "0.0.0.0:8080", "shop:app"]
    targets = [mount["target"] for mount in service["volumes"]]
    assert targets == ["/swarmscope", "/run/secrets-metrics"]
    assert service["healthcheck"]["test"][-1] == (
        "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health?a=$$b', timeout=4)"
    )
    assert [(port["target"], port["host_ip"]) for port in service["ports"]] == [(8080, "127.0.0.1")]


def test_scenarios_and_their_requirements_come_along(shop: tuple[Path, dict[str, Any]]) -> None:
    """Scenarios are mounted, requirements are installed into a volume first."""
    directory, found = shop
    installing = found["services"]["swarmscope-requirements"]
    sources = {mount["target"]: mount["source"] for mount in installing["volumes"]}

    assert sources["/requirements.txt"] == f"{directory}/load/requirements.txt"
    for name in ("locust", "locust-worker"):
        service = found["services"][name]
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        assert mounts["/scenarios/load"]["source"] == f"{directory}/load"
        assert mounts["/requirements"]["source"] == sources["/requirements"]
        assert service["environment"]["LOCUST_LOCUSTFILE"] == "/scenarios/load/scenario.py"
        shown = service["environment"]["LOCUST_RESOURCES"].replace("$$", "$")  # a file again
        (jobs,) = named.parse(shown)
        assert jobs.use == "sum(rate(job_seconds_total[$__rate_interval]))"
        assert service["environment"]["PYTHONPATH"] == "/requirements/packages"
        before = service["depends_on"]["swarmscope-requirements"]["condition"]
        assert before == "service_completed_successfully"
    assert found["services"]["locust"]["environment"]["LOCUST_HOST"] == "http://api:8080"


def test_prometheus_scrapes_it_by_its_name(shop: tuple[Path, dict[str, Any]]) -> None:
    """By a file of the project's, in the place of the sample's."""
    directory, found = shop
    mounts = {m["target"]: m["source"] for m in found["services"]["prometheus"]["volumes"]}
    path = Path(mounts["/etc/prometheus/targets/stack.json"])

    assert path == directory / "prometheus.swarmscope.json"
    assert json.loads(path.read_text()) == [
        {"targets": ["api:9102"], "labels": {"job": "api"}},
        {"targets": ["locust:9646"], "labels": {"job": "locust"}},
    ]


def test_beside_a_compose_file_of_the_projects_own(root: Path, tmp_path: Path) -> None:
    """Both services of the shop keep what it says of them; no port is published twice."""
    need_compose()
    for name in ("Dockerfile", "compose.yaml", "locustfile.py", "swarmscope.toml"):
        (tmp_path / name).write_text((root / "examples/shop" / name).read_text())
    printed = answer("init", "--compose", cwd=tmp_path)
    services = configuration(tmp_path, "compose.yaml", "compose.swarmscope.yml")["services"]

    assert printed.endswith(
        "\nNext: docker compose -f compose.yaml -f compose.swarmscope.yml up --build --wait\n"
    )
    assert services["shop"]["environment"]["SHOP_PRICING_URL"] == "http://pricing:5001"
    assert services["pricing"]["command"] == ["gunicorn", "--bind", "0.0.0.0:5001", "pricing:app"]
    assert [port["published"] for port in services["shop"]["ports"]] == ["5000"]
    assert "ports" not in services["pricing"]


def test_what_is_shown_is_written_and_nothing_is_overwritten(tmp_path: Path) -> None:
    """A dry run shows it alone; the stack's own files are written again."""
    files = {**PROJECT, ".dockerignore": "*.db\n"}
    shown = answer("init", "--compose", "--dry-run", cwd=write_project(tmp_path, files))
    assert {path.name for path in tmp_path.iterdir()} == {
        *(".dockerignore", "Dockerfile", "load", "swarmscope.toml")
    }

    printed = answer("init", "--compose", cwd=tmp_path)

    assert printed.startswith(shown)
    override = tmp_path / "compose.swarmscope.yml"
    for line in override.read_text().splitlines():
        assert f"  {line}".rstrip() in printed.splitlines()
    assert (tmp_path / ".dockerignore").read_text() == "*.db\n.swarmscope*/\n"
    override.write_text("# mine\n")
    ours = tmp_path / ".swarmscope-stack/docker-compose.yml"
    ours.write_text("")
    again = answer("init", "--compose", cwd=tmp_path)
    assert "\ncompose.swarmscope.yml exists and stays as it is; --force overwrites it.\n" in again
    assert override.read_text() == "# mine\n"
    assert "services:" in ours.read_text()
    assert (tmp_path / ".swarmscope-stack/.gitignore").read_text().endswith("\n*\n")
