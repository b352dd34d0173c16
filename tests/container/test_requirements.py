"""The scenarios' requirements are installed into a volume, once, and change nothing of ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.gunicorn import ROOT

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
INSTALL = (
    "import sys; from pathlib import Path; from swarmscope.container.requirements import install;"
    " sys.exit(install(*map(Path, sys.argv[1:])))"
)


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has pip, in the place of an image's."""
    python = Path(sys.base_prefix) / "bin/python3"
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("this environment's base Python has no pip")
    return python


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty volume."""
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


def wheel(place: Path, name: str, version: str) -> Path:
    """Return a package of one module, as pip takes it."""
    path = place / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        info = f"{name}-{version}.dist-info"
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{info}/METADATA", METADATA.format(name=name, version=version))
        file.writestr(f"{info}/WHEEL", WHEEL)
        file.writestr(f"{info}/RECORD", "")
    return path


def install(python: Path, directory: Path, *lines: object) -> subprocess.CompletedProcess[str]:
    """Install requirements into *directory*, as in a container."""
    file = directory.parent / "requirements.txt"
    file.write_text("".join(f"{line}\n" for line in ("--no-index", *lines)))
    command = [str(python), "-c", INSTALL, str(directory), str(file)]
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.proof
def test_only_what_is_missing_is_installed(python: Path, directory: Path, tmp_path: Path) -> None:
    """A requirement that the image has is met; a second time there is nothing to do.

    Of a version that is no longer asked for nothing is left.
    """
    lines = ("pip", wheel(tmp_path, "tiny", "1.0"))

    assert install(python, directory, *lines).returncode == 0
    (directory / "packages/mark").touch()
    assert install(python, directory, *lines).returncode == 0

    assert (directory / "packages/tiny.py").read_text() == "version = '1.0'\n"
    assert not (directory / "packages/pip").exists()
    assert (directory / "packages/mark").exists()

    assert install(python, directory, wheel(tmp_path, "tiny", "2.0")).returncode == 0
    found = {path.name for path in (directory / "packages").iterdir()} - {"__pycache__"}
    assert found == {"tiny.py", "tiny-2.0.dist-info"}


def test_no_package_of_ours_changes_its_version(python: Path, directory: Path) -> None:
    """Locust with another gevent would no longer be the one that is tested; pip says why."""
    done = install(python, directory, "pip<1")

    assert done.returncode != 0
    assert "constraint) pip==" in done.stdout + done.stderr
    assert not (directory / "installed.txt").exists()
