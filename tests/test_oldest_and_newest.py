"""The oldest and the newest versions that pyproject.toml allows, of all that swarmscope needs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.demo import empty_demo, try_demo
from support.environments import foreign_programs, resolved_programs

from swarmscope.stack.app_python import MIN_PYTHON, MIN_VERSIONS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FLOORS = dict(
    re.match(r"([\w-]+)\S*?>=([\d.]+)", requirement).groups()  # type: ignore[union-attr]
    for requirements in PROJECT["optional-dependencies"].values()
    for requirement in requirements
    if not requirement.startswith("swarmscope[")
)
PYTHONS = [
    name.rpartition(" ")[2]
    for name in PROJECT["classifiers"]
    if name.startswith("Programming Language :: Python :: 3.")
]
LOCUSTS = ("2.43.0", "2.44.*", "2.45.*", "2.46.*", "2.47.*")
PATCHED = (  # what depends on how Locust is made
    "test_locust_patches.py",
    "test_any_scenario.py",
    "test_checks.py",
    "test_exit_status.py",
    "test_intake.py",
    "test_redirects.py",
    "recording/test_run.py",
    "recording/test_run_settings.py",
    "shapes/test_shapes.py",
    "web/test_both_ends.py",
    "web/test_forms.py",
    "web/test_guard.py",
    "workload/test_open_user.py",
)


def test_versions_are_named_alike() -> None:
    """What the launcher asks of an app's environment, and what the documentation says."""
    assert {name: FLOORS.get(name) for name in MIN_VERSIONS} == {
        **MIN_VERSIONS,
        "gunicorn": FLOORS["gunicorn"],  # the sample's own
    }
    oldest = ".".join(map(str, MIN_PYTHON))
    assert PROJECT["requires-python"] == f">={oldest}" == f">={PYTHONS[0]}"
    flask, gunicorn = MIN_VERSIONS["flask"], MIN_VERSIONS["gunicorn"]
    assert (
        f"Python {oldest} to {PYTHONS[-1]}, Flask from {flask} and gunicorn from {gunicorn} on"
        in (ROOT / "docs/instrument.md").read_text("utf-8")
    )
    needed = f"It needs Python {oldest}, Flask {flask} and gunicorn {gunicorn} or later"
    assert needed in " ".join((ROOT / "docs/swarmscope-toml.md").read_text("utf-8").split())
    locust = f"Locust {FLOORS['locust']} to {LOCUSTS[-1].removesuffix('.*')}"
    assert locust in (ROOT / "docs/scenarios.md").read_text("utf-8")
    assert LOCUSTS[0] == f"{FLOORS['locust']}.0"


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_demo_runs(tmp_path: Path, python: str, resolution: str) -> None:
    """Both ends and the launcher, from the wheel: up, a run, what it says, down."""
    programs = resolved_programs(tmp_path / "environment", python, "demo", resolution)
    with empty_demo(tmp_path, str(programs / "swarmscope")) as demo:
        try_demo(demo)


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("locust", LOCUSTS)
def test_the_patches_work(tmp_path: Path, locust: str) -> None:
    """The client's own tests, with each Locust that pyproject.toml allows."""
    programs = foreign_programs(
        tmp_path / "environment", PYTHONS[0], "-e", f"{ROOT}[demo]", "--group",
        f"{ROOT}/pyproject.toml:test", f"locust=={locust}",
    )  # fmt: skip
    files = [str(ROOT / "tests/client" / file) for file in PATCHED]
    command = [str(programs / "pytest"), "-q", "-p", "no:cacheprovider", "-m", "not proof", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-20_000:]
