"""A built package brings all that it needs: no checkout is around."""

from __future__ import annotations

import json
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.environments import around_the_wheel
from support.native import Native, native

MAPPED = ("api", "grafana", "locustfiles", "prometheus", "swarmscope.toml")
STAYS = {  # what only containers and tests read
    "grafana/kustomization.yaml",
    "prometheus/kustomization.yaml",
    "prometheus/rules.test.yml",
    "prometheus/targets.compose.json",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel."""
    return around_the_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def demo(programs: Path, tmp_path: Path) -> Iterator[Native]:
    """Return a stack that is not up, in an empty directory."""
    (tmp_path / "empty").mkdir()
    stack = native(tmp_path / "empty", tmp_path / "empty/.swarmscope")
    environment = {k: v for k, v in stack.environment.items() if k != "SWARMSCOPE_HOME"}
    command = (str(programs / "swarmscope"),)
    stack = replace(stack, environment=environment, swarmscope=command)
    yield stack
    stack.kill_leftovers()


def tracked(root: Path, *names: str) -> set[str]:
    """Return the files of the checkout below *names* that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *names]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no checkout")
    return set(done.stdout.splitlines())


def test_the_wheel_holds_the_package_and_the_shipped_files(root: Path, programs: Path) -> None:
    """All of them that git knows, and nothing else: no caches, no tests."""
    (wheel,) = (programs.parent / "dist").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    shipped = tracked(root, *MAPPED) - STAYS
    assert packed == tracked(root, "swarmscope") | {f"swarmscope/shipped/{n}" for n in shipped}


def test_the_wheel_writes_the_dashboards(root: Path, programs: Path, tmp_path: Path) -> None:
    """Those of the checkout, whose files it holds."""
    command = [programs / "swarmscope", "dashboards", tmp_path]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    written = {path.name for path in tmp_path.glob("*.json")}
    assert written == {f"swarmscope-{p.name}" for p in (root / "grafana/dashboards").glob("*.json")}


def read(url: str) -> bytes:
    """Return the body of a response."""
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
        return body


@pytest.mark.stack
def test_the_demo_runs_in_an_empty_directory(demo: Native, programs: Path) -> None:
    """From the wheel alone, under its own scenario; all that it writes is in .swarmscope."""
    (shipped,) = programs.parent.glob("lib/python*/site-packages/swarmscope/shipped")
    before = files_of(shipped)

    up = demo.run("demo", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    services = demo.services()
    tests = json.loads(read(services["api"]["url"] + "/tests"))
    assert [test["name"] for test in tests] == ["unit testing"]
    if "prometheus" in services:
        answer = json.loads(read(services["prometheus"]["url"] + "/api/v1/rules"))
        assert {rule["name"] for group in answer["data"]["groups"] for rule in group["rules"]}
    assert services["locust"]["state"] == "running"
    locust = demo.run("locust", "--headless", "-u", "2", "-r", "2", "-t", "3s")
    assert locust.returncode == 0, locust.stdout + locust.stderr
    run = json.loads(demo.run("show", "latest", "--json").stdout)
    assert {endpoint["name"] for endpoint in run["endpoints"]} == {"/tests"}
    assert demo.run("down").returncode == 0

    assert [path.name for path in demo.directory.iterdir()] == [".swarmscope"]
    assert (demo.home / "api/api.sqlite3").exists()
    assert files_of(shipped) == before
    assert demo.leftovers() == []


def files_of(directory: Path) -> set[Path]:
    """Return the files below *directory* that Python did not compile."""
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts}
