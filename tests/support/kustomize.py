"""The manifests of deploy/kubernetes, built by the real kustomize in a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DIRECTORIES = ("deploy", "grafana", "prometheus")


def kustomize() -> list[str]:
    """Return the command that builds a directory: kustomize's own, or the one inside kubectl."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    pytest.skip("neither kustomize nor kubectl is on PATH")


def copy_manifests(root: Path, directory: Path) -> Path:
    """Copy what kustomize reads from *root* to *directory*; return where it is to be run."""
    for name in DIRECTORIES:
        shutil.copytree(root / name, directory / name, ignore=shutil.ignore_patterns("secrets"))
    return directory / "deploy/kubernetes"


def build(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run kustomize in *directory*."""
    command = [*kustomize(), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def objects(directory: Path) -> list[dict[str, Any]]:
    """Return all that kustomize makes of *directory*."""
    done = build(directory)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # a warning names what a later kustomize will refuse
    return list(yaml.safe_load_all(done.stdout))
