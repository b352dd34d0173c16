"""Environments of their own: other versions than those that this one has."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support.gunicorn import ROOT

UNREACHABLE = ("Failed to fetch", "error sending request", "dns error", "Network is unreachable")
SECONDS = 600
UV = Path(sys.executable).parent / "uv"


def build_wheel(directory: Path) -> Path:
    """Build this checkout's wheel into *directory*, with the backend that this environment has."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=SECONDS)
    return next(directory.glob("*.whl"))


def around_the_wheel(directory: Path) -> Path:
    """Make an environment of our wheel and the packages of this one; return its programs' place."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = directory / "bin/python"
    wheel = build_wheel(directory / "dist")
    command = [str(UV), "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
    subprocess.run([*command, str(wheel)], check=True, timeout=SECONDS)
    # a line of a .pth file is searched for packages, not for .pth files: not for the editable one
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return directory / "bin"


def over_this_one(directory: Path, *requirements: str) -> Path:
    """Make an environment of *requirements*, else with the packages of this one; return its Python.

    Only the packages that are named differ, not what they need.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = directory / "bin/python"
    command = [str(UV), "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
    done = subprocess.run(
        [*command, *requirements], capture_output=True, text=True, timeout=SECONDS
    )
    if any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("there is no package index here")
    assert done.returncode == 0, done.stderr
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def programs_of(directory: Path, python: str, *requirements: str) -> Path:
    """Make an environment with this swarmscope's server end, too; see `foreign_programs`."""
    return foreign_programs(directory, python, "-e", f"{ROOT}[server]", *requirements)


def resolved_programs(directory: Path, python: str, extra: str, resolution: str) -> Path:
    """Make an environment of our wheel with an extra; return where its programs are.

    *resolution* is uv's: ``lowest-direct`` takes the oldest versions that pyproject.toml allows.
    """
    file = directory.with_suffix(".txt")
    project = ("--extra", extra, str(ROOT / "pyproject.toml"))
    how = ("--python-version", python, "--resolution", resolution, "--only-binary", ":all:")
    command = [str(UV), "pip", "compile", "--quiet", *how, *project, "-o", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("there is no package index here")
    assert done.returncode == 0, done.stderr
    wheel = build_wheel(directory.with_suffix(".dist"))
    return foreign_programs(directory, python, "-r", str(file), str(wheel))


def foreign_programs(directory: Path, python: str, *requirements: str) -> Path:
    """Make an environment; return where its programs are.

    *python* is a version, *requirements* are what to install. Skips the test where there is no such
    Python, or no package index; a requirement that cannot be met fails it.
    """
    installed = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin"))
    path = os.pathsep.join([*map(str, installed), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "UV_PYTHON_DOWNLOADS": "never"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(UV), *arguments], env=environment, capture_output=True, text=True, timeout=SECONDS
        )

    if run("venv", "--quiet", "--python", python, str(directory)).returncode:
        pytest.skip(f"there is no Python {python} here")
    programs = directory / "bin"
    target = ("--python", str(programs / "python"))
    done = run("pip", "install", "--quiet", *target, *requirements)
    if done.returncode and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("there is no package index here")
    assert done.returncode == 0, done.stderr
    return programs
