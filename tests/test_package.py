"""A built package brings all that it needs: no checkout is around."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.demo import empty_demo, try_demo
from support.environments import UV, around_the_wheel, build_wheel
from support.native import Native

from swarmscope.onboarding.stack_files import STACK

STAYS = {"prometheus/rules.long.test.yml", "prometheus/rules.test.yml"}
PART = [word for part in ("postgres", "prometheus", "app") for word in ("--only", part)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel."""
    return around_the_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def demo(programs: Path, tmp_path: Path) -> Iterator[Native]:
    """Return a stack that is not up, in an empty directory."""
    with empty_demo(tmp_path, str(programs / "swarmscope")) as stack:
        yield stack


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

    shipped = tracked(root, *STACK) - STAYS
    assert packed == tracked(root, "swarmscope") | {f"swarmscope/shipped/{n}" for n in shipped}


def test_the_wheel_writes_the_dashboards(root: Path, programs: Path, tmp_path: Path) -> None:
    """Those of the checkout, whose files it holds."""
    command = [programs / "swarmscope", "dashboards", tmp_path]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    written = {path.name for path in tmp_path.glob("*.json")}
    assert written == {f"swarmscope-{p.name}" for p in (root / "grafana/dashboards").glob("*.json")}


@pytest.mark.stack
@pytest.mark.parametrize(
    "only", [pytest.param(PART, id="part"), pytest.param((), id="whole", marks=pytest.mark.proof)]
)
def test_the_demo_runs_in_an_empty_directory(demo: Native, programs: Path, only) -> None:
    """From the wheel alone, under its own scenario; all that it writes is in .swarmscope."""
    (shipped,) = programs.parent.glob("lib/python*/site-packages/swarmscope/shipped")
    before = files_of(shipped)

    try_demo(demo, *only)
    assert files_of(shipped) == before


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_the_demo_runs_by_uvx(root: Path, tmp_path: Path) -> None:
    """As the README shows it: nothing is installed before."""
    assert "uvx --from './dist/swarmscope-….whl[demo]' swarmscope demo" in (
        root / "README.md"
    ).read_text("utf-8")
    wheel = build_wheel(tmp_path / "dist")
    command = (str(UV.with_name("uvx")), "--from", f"{wheel}[demo]", "swarmscope")
    with empty_demo(tmp_path, *command) as stack:
        try_demo(stack)


def files_of(directory: Path) -> set[Path]:
    """Return the files below *directory* that Python did not compile."""
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts}
